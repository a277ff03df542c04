//! What a child's missing log comes to, for the status page.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::conf::{Child, Site, Turn};
use crate::counters::Counted;
use crate::index::{self, Area};
use crate::missing_log::{self, Reader};
use crate::nginx::{detached, worker, Alarm, Request};
use crate::store::lend;

/// Entries that one job in a thread looks at.
const STEP: usize = 500;

/// Counts in the background, where nobody delivers the log and counts it then.
pub(super) fn start(site: &'static Site, child: &'static Child) {
    let missing = &child.counts().missing;
    if missing_log::is_empty(site.directories().missing, child.name()) {
        return missing.is_empty(worker::time());
    }
    let Some(server) = site.server().server() else { return };
    let Some(turn) = Turn::take(&child.catching_up) else { return };
    _ = detached::start(server, b"", move |r| async move {
        count(r, site, child).await;
        drop(turn);
    });
}

/// Reads the log from its first entry to its last.
pub(super) async fn count(r: Request, site: &'static Site, child: &'static Child) {
    let missing = &child.counts().missing;
    let begun = missing.begin();
    let alarm = Alarm::new(r);
    let areas = site.server().areas(|_| true);
    let mut count = Count::new(areas, site.directories().missing, child.name());
    loop {
        let Ok((again, Ok(end))) = lend(r, count, Count::step).await else { return };
        count = again;
        if end {
            return missing.counted(begun, count.counted, worker::time());
        }
        alarm.step_aside().await;
    }
}

struct Count {
    areas: Arc<[Area]>,
    reader: Reader,
    counted: Counted,
}

impl Count {
    fn new(areas: Arc<[Area]>, logs: &Path, child: &[u8]) -> Count {
        Count { areas, reader: Reader::open(logs, child), counted: Counted::default() }
    }

    /// True at the end.
    fn step(&mut self) -> std::io::Result<bool> {
        let batch = self.reader.next(STEP)?;
        let counted = &mut self.counted;
        for (_, missed) in batch.entries {
            counted.entries += 1;
            if counted.oldest == 0 || missed.time < counted.oldest {
                counted.oldest = missed.time;
            }
            let path = Some(&missed.path).filter(|_| !missed.deleted);
            let file = path.and_then(|path| index::locate(&self.areas, path));
            let metadata = file.and_then(|file| fs::metadata(file).ok());
            counted.bytes += metadata.filter(|it| it.is_file()).map_or(0, |it| it.len());
        }
        Ok(batch.end)
    }
}
