//! What nginx's master sees to before workers start, at each start and reload: that a state directory is
//! this nginx's alone, that what is in it belongs to the workers' user, and that the roots are there.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::conf::MainConf;
use crate::error::Error;
use crate::nginx::worker::{self, Master};
use crate::nginx::Level;
use crate::store::{self, Owner};

/// The locks of state directories, for as long as nginx runs.
static LOCKS: Mutex<Option<HashMap<PathBuf, File>>> = Mutex::new(None);

/// False where nginx must not start: somebody else has a state directory.
pub(crate) fn prepare(main: &MainConf, master: &Master) -> bool {
    let owner = Owner { user: master.user, group: master.group };
    let mut ok = true;
    for (state, server) in main.state_directories() {
        ok &= claim(state.clone(), master);
        let Some(directories) = server.directories() else { continue };
        let all = directories.all();
        if master.only_tests {
            continue;
        }
        if let Err(error) = store::hand_over(&all, owner) {
            let error = Error::io("chown", state)(error);
            let (user, state) = (&master.user_name, state.display());
            worker::log(
                Level::Emerg,
                format_args!("{error}: files of another user, which the workers cannot use; chown -R {user} \"{state}\""),
            );
        }
    }
    for root in main.roots() {
        let user = &master.user_name;
        let shown = root.display();
        match store::may_write(root, owner) {
            Ok(true) => {}
            Ok(false) => worker::log(
                Level::Warn,
                format_args!("the workers' user \"{user}\" may not write to root \"{shown}\", so that PUT and DELETE are refused: chown {user} \"{shown}\""),
            ),
            Err(error) => {
                let error = Error::io("stat", root)(error);
                worker::log(
                    Level::Warn,
                    format_args!("{error}: root of \"filedist on\"; is its disk mounted?"),
                );
            }
        }
    }
    ok
}

fn claim(state: PathBuf, master: &Master) -> bool {
    let who = &master.configuration;
    let other = match master.only_tests {
        true => store::claimed_by_other(&state, who),
        false => match store::claim(&state, who) {
            Ok(Ok(lock)) => {
                let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
                locks.get_or_insert_default().extend(lock.map(|lock| (state, lock)));
                return true;
            }
            Ok(Err(other)) => Some(other),
            Err(error) => {
                worker::log(Level::Warn, format_args!("{}", Error::io("lock", &state)(error)));
                return true;
            }
        },
    };
    let Some(other) = other else { return true };
    worker::log(
        Level::Emerg,
        format_args!(
            "the state directory \"{}\" is in use by the nginx of \"{other}\": give each nginx its own \
             \"filedist_state\"",
            state.display()
        ),
    );
    false
}
