//! Locations that serve what the node says of itself.

#![allow(unsafe_code)]

use core::ptr;

use nginx_sys::*;

use super::merge::{refuse, share_memory, Refused};
use super::state::{claim_state, directories};
use super::{LocConf, Page, PageConf, SrvConf};
use crate::module;
use crate::nginx::conf;

/// Makes the location's content handler that of the page.
///
/// # Safety
///
/// `cf` is at the location of `child`.
pub(super) unsafe fn serve(
    cf: *mut ngx_conf_t,
    child: &mut LocConf,
    PageConf { page, manage }: PageConf,
    said_here: bool,
) -> Result<(), Refused> {
    let name = page.directive();
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let core = &mut *conf::core_location(cf);
        let server = &mut *conf::server::<SrvConf>(cf);
        let also = if said_here && child.enable == 1 {
            Some("\"filedist on\"")
        } else if core.handler.is_some() {
            Some("another content handler")
        } else {
            None
        };
        if let Some(also) = also {
            let message = format!(
                "{also} and \"{name}\" in one location: give \"{name}\" a location of its own"
            );
            return Err(refuse(cf, message));
        }
        if server.state.is_null() {
            let message = format!(
                "\"{name}\" without \"filedist_state\": name the directory of this server's state"
            );
            return Err(refuse(cf, message));
        }
        child.enable = 0;
        child.upstream = None;
        if page == Page::Missing {
            serve_logs(cf, core, server)?;
            child.server = server;
        }
        if page != Page::Missing || manage {
            claim_state(cf, child)?;
            share_memory(cf)?;
            conf::run_in_threads(cf, core);
        }
        server.has_pages = true;
        // One by regular expression has no path that could be told.
        let has_path = core.noname() == 0 && core.named() == 0 && conf::has_prefix(core);
        if has_path && server.pages.iter().all(|(other, _)| other.page != page) {
            let mut path = core.name.as_bytes().to_vec();
            if core.exact_match() == 0 && !path.ends_with(b"/") {
                path.push(b'/');
            }
            server.pages.push((PageConf { page, manage }, path));
        }
        if core.name.as_bytes().ends_with(b"/") && core.exact_match() == 0 {
            // Without the slash it is a redirect to it, as with proxy_pass.
            core.set_auto_redirect(1);
        }
        core.handler = Some(module::page_handler);
        Ok(())
    }
}

/// nginx's static handler serves the files of the missing logs, as for "alias".
///
/// # Safety
///
/// `cf` is at a location of `server`.
unsafe fn serve_logs(
    cf: *mut ngx_conf_t,
    core: &mut ngx_http_core_loc_conf_t,
    server: &mut SrvConf,
) -> Result<(), Refused> {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let directory = directories(cf, server)?.missing;
        let mut root = directory.as_os_str().as_encoded_bytes().to_vec();
        root.push(b'/');
        let Some(root) = ngx_str_t::from_bytes((*cf).pool, &root) else {
            return Err(refuse(cf, format_args!("no memory for \"filedist_missing\"")));
        };
        core.root = root;
        core.alias = core.name.len;
        core.root_lengths = ptr::null_mut();
        core.root_values = ptr::null_mut();
        Ok(())
    }
}
