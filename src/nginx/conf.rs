//! nginx's configuration structures, while a configuration is read.

use core::ffi::CStr;
use core::ptr;
use std::path::Path;

use nginx_sys::*;
use ngx::ngx_string;

use super::detached;
use super::os;
use super::pool::{self, OutOfMemory};
use super::request::module_index;
use super::thread;

/// The configuration of `module` that the block being read has.
///
/// # Safety
///
/// `cf` is at a level where nginx has filled the array, and `T` is the module's type for it.
unsafe fn slot<T>(array: *mut *mut core::ffi::c_void, index: usize) -> *mut T {
    // SAFETY: the caller vouches for the array.
    unsafe { (*array.add(index)).cast() }
}

/// # Safety
///
/// nginx gave `cf` to a setter or merge function within `http`.
pub(crate) unsafe fn context(cf: *mut ngx_conf_t) -> *mut ngx_http_conf_ctx_t {
    // SAFETY: within `http`, ctx is this structure.
    unsafe { (*cf).ctx.cast() }
}

/// This module's main configuration.
///
/// # Safety
///
/// As for [`context`], with `T` the type that create_main_conf made.
pub(crate) unsafe fn main<T>(cf: *mut ngx_conf_t) -> *mut T {
    // SAFETY: the caller vouches for `cf`.
    unsafe { slot((*context(cf)).main_conf, module_index()) }
}

/// This module's main configuration in a running cycle; null without `http`.
///
/// # Safety
///
/// As for [`main`], with a cycle whose configuration was read.
pub(crate) unsafe fn main_of_cycle<T>(cycle: *mut ngx_cycle_t) -> *mut T {
    // SAFETY: the caller vouches for the cycle; the http module is always there.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_module.index);
        let context = (*(*cycle).conf_ctx.add(index)).cast::<ngx_http_conf_ctx_t>();
        match context.is_null() {
            true => ptr::null_mut(),
            false => slot((*context).main_conf, module_index()),
        }
    }
}

/// A parameter's value in nginx's notation.
pub(crate) struct Value(ngx_str_t);

impl Value {
    pub(crate) fn new(text: &[u8]) -> Value {
        Value(ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() })
    }

    /// `ngx_atoi()`.
    pub(crate) fn number(self) -> Option<usize> {
        // SAFETY: for this and the next ones: nginx reads `len` bytes of the directive's words.
        usize::try_from(unsafe { ngx_atoi(self.0.data, self.0.len) }).ok()
    }

    /// `ngx_parse_offset()`: bytes, with k, m or g.
    pub(crate) fn size(mut self) -> Option<u64> {
        // SAFETY: as said above.
        u64::try_from(unsafe { ngx_parse_offset(&mut self.0) }).ok()
    }

    /// `ngx_parse_time()`: seconds, with ms, s, m, h and so on.
    pub(crate) fn milliseconds(mut self) -> Option<u64> {
        // SAFETY: as said above.
        u64::try_from(unsafe { ngx_parse_time(&mut self.0, 0) }).ok()
    }
}

/// This module's configuration of the location that is being read.
///
/// # Safety
///
/// As for [`context`], with `T` the type that create_loc_conf made.
pub(crate) unsafe fn location<T>(cf: *mut ngx_conf_t) -> *mut T {
    // SAFETY: the caller vouches for `cf`.
    unsafe { slot((*context(cf)).loc_conf, module_index()) }
}

/// This module's server configuration.
///
/// # Safety
///
/// As for [`context`], with `T` the type that create_srv_conf made.
pub(crate) unsafe fn server<T>(cf: *mut ngx_conf_t) -> *mut T {
    // SAFETY: the caller vouches for `cf`.
    unsafe { slot((*context(cf)).srv_conf, module_index()) }
}

/// This module's configuration of an upstream; null for one that was not defined as such.
///
/// # Safety
///
/// `us` belongs to the configuration being read, with `T` the type that create_srv_conf made.
pub(crate) unsafe fn of_upstream<T>(us: *const ngx_http_upstream_srv_conf_t) -> *const T {
    // SAFETY: the caller vouches for `us`; proxy_pass with an address has no srv_conf.
    unsafe {
        match (*us).srv_conf.is_null() {
            true => ptr::null(),
            false => slot((*us).srv_conf, module_index()),
        }
    }
}

/// The server that the block being read belongs to.
///
/// # Safety
///
/// As for [`context`], within `server`.
pub(crate) unsafe fn core_server(cf: *mut ngx_conf_t) -> *mut ngx_http_core_srv_conf_t {
    // SAFETY: the caller vouches for `cf`; the core module is always there.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_core_module.ctx_index);
        slot((*context(cf)).srv_conf, index)
    }
}

/// The server as requests of the worker's own see it, with the address of its first `listen`.
///
/// # Safety
///
/// nginx gave `cf` to a postconfiguration function, `server` belongs to the configuration.
pub(crate) unsafe fn detached_server(
    cf: *mut ngx_conf_t,
    server: *mut ngx_http_core_srv_conf_t,
) -> detached::Server {
    /// Of a server that listens nowhere: no address of any family.
    #[repr(align(8))]
    struct Nowhere([u8; 32]);
    static NOWHERE: Nowhere = Nowhere([0; 32]);

    // SAFETY: the caller vouches for both. nginx has the `listen` directives in these lists until
    // the configuration is read; the addresses themselves stay.
    unsafe {
        let core: *mut ngx_http_core_main_conf_t =
            slot((*context(cf)).main_conf, *ptr::addr_of!(ngx_http_core_module.ctx_index));
        let name = (*server).server_name;
        // Not every name of a server is one that a client could send.
        let host = |address: ngx_str_t| match (is_host(name), is_host(address)) {
            (true, _) => name,
            (false, true) => address,
            (false, false) => ngx_string!("localhost"),
        };
        if let Some(ports) = (*core).ports.as_ref() {
            for port in ports.as_slice::<ngx_http_conf_port_t>() {
                for addr in port.addrs.as_slice::<ngx_http_conf_addr_t>() {
                    let servers = addr.servers.as_slice::<*mut ngx_http_core_srv_conf_t>();
                    if servers.contains(&server) {
                        let opt = &addr.opt;
                        let host = host(opt.addr_text);
                        let ctx = (*server).ctx;
                        let address = local((*cf).pool, opt.sockaddr, opt.socklen);
                        return detached::Server::new(ctx, address, opt.socklen, host);
                    }
                }
            }
        }
        let address = NOWHERE.0.as_ptr().cast_mut().cast();
        let length = NOWHERE.0.len() as socklen_t;
        detached::Server::new((*server).ctx, address, length, host(ngx_str_t::empty()))
    }
}

/// The address, or where it stands for all addresses, that of this machine for itself: nginx would
/// ask the socket which of them it is.
///
/// # Safety
///
/// `address` is that of a `listen`, in a live pool.
unsafe fn local(pool: *mut ngx_pool_t, address: *mut sockaddr, length: socklen_t) -> *mut sockaddr {
    // SAFETY: the caller vouches for both; the family says what the address is.
    unsafe {
        let copy = ngx_pcalloc(pool, length as usize).cast::<sockaddr>();
        if copy.is_null() {
            return address;
        }
        ptr::copy_nonoverlapping(address.cast::<u8>(), copy.cast::<u8>(), length as usize);
        match i32::from((*copy).sa_family) {
            libc::AF_INET => {
                let copy = &mut *copy.cast::<libc::sockaddr_in>();
                if copy.sin_addr.s_addr == libc::INADDR_ANY {
                    copy.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
                }
            }
            libc::AF_INET6 => {
                let copy = &mut *copy.cast::<libc::sockaddr_in6>();
                if copy.sin6_addr.s6_addr == [0; 16] {
                    copy.sin6_addr.s6_addr[15] = 1;
                }
            }
            _ => {}
        }
        copy
    }
}

fn is_host(name: ngx_str_t) -> bool {
    let name = name.as_bytes();
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(byte);
    !name.is_empty() && name.iter().all(is_usual)
}

/// The upstream block that is being read.
///
/// # Safety
///
/// nginx gave `cf` to a setter within `upstream`.
pub(crate) unsafe fn upstream(cf: *mut ngx_conf_t) -> *mut ngx_http_upstream_srv_conf_t {
    // SAFETY: the caller vouches for `cf`; the upstream module is always there.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_upstream_module.ctx_index);
        slot((*context(cf)).srv_conf, index)
    }
}

/// The core module's configuration of the location that is being merged.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn core_location(cf: *mut ngx_conf_t) -> *mut ngx_http_core_loc_conf_t {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_core_module.ctx_index);
        slot((*context(cf)).loc_conf, index)
    }
}

/// What `proxy_pass` says in the location that is being merged. The proxy module keeps its own
/// structure to itself, but it starts with this one.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn proxy(cf: *mut ngx_conf_t) -> *mut ngx_http_upstream_conf_t {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_proxy_module.ctx_index);
        slot((*context(cf)).loc_conf, index)
    }
}

/// `proxy_pass` of the location that is being merged has variables.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn proxy_has_variables(cf: *mut ngx_conf_t) -> bool {
    // SAFETY: the caller vouches for `cf`.
    unsafe { ngx_http_filedist_proxy_has_variables(proxy(cf).cast()) != 0 }
}

/// The URI that `proxy_pass` has behind the name of the upstream in the location that is being merged;
/// empty if it has none.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn proxy_uri<'a>(cf: *mut ngx_conf_t) -> &'a [u8] {
    // SAFETY: the caller vouches for `cf`; the text is in the configuration's pool.
    unsafe { (*ngx_http_filedist_proxy_uri(proxy(cf).cast())).as_bytes() }
}

/// The values that `proxy_set_header` gives in the location that is being merged.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn proxy_headers<'a>(cf: *mut ngx_conf_t) -> Vec<&'a [u8]> {
    // SAFETY: the caller vouches for `cf`; the array has elements of this type.
    unsafe {
        match ngx_http_filedist_proxy_headers(proxy(cf).cast()).as_ref() {
            Some(all) => {
                all.as_slice::<ngx_keyval_t>().iter().map(|it| it.value.as_bytes()).collect()
            }
            None => Vec::new(),
        }
    }
}

/// The directive of the proxy module, if any, that would make of a delivery something else than
/// the change that it carries.
///
/// # Safety
///
/// As for [`context`].
pub(crate) unsafe fn proxy_changes_requests(cf: *mut ngx_conf_t) -> Option<&'static str> {
    // SAFETY: the caller vouches for `cf`.
    unsafe {
        let conf = proxy(cf);
        if ngx_http_filedist_proxy_sets_body(conf.cast()) != 0 {
            Some("proxy_set_body")
        } else if (*conf).pass_request_body == 0 {
            Some("proxy_pass_request_body off")
        } else if (*conf).pass_request_headers == 0 {
            Some("proxy_pass_request_headers off")
        } else if ngx_http_filedist_proxy_sets_method(conf.cast()) != 0 {
            Some("proxy_method")
        } else {
            None
        }
    }
}

/// The location is given by a regular expression, or has a name only.
pub(crate) fn has_prefix(core: &ngx_http_core_loc_conf_t) -> bool {
    #[cfg(ngx_pcre)]
    if !core.regex.is_null() {
        return false;
    }
    core.name.as_bytes().first() == Some(&b'/')
}

extern "C" {
    fn ngx_http_filedist_proxy_sets_body(plcf: *mut core::ffi::c_void) -> ngx_uint_t;
    fn ngx_http_filedist_proxy_sets_method(plcf: *mut core::ffi::c_void) -> ngx_uint_t;
    fn ngx_http_filedist_proxy_headers(plcf: *mut core::ffi::c_void) -> *mut ngx_array_t;
    fn ngx_http_filedist_proxy_uri(plcf: *mut core::ffi::c_void) -> *mut ngx_str_t;
    fn ngx_http_filedist_proxy_has_variables(plcf: *mut core::ffi::c_void) -> ngx_uint_t;
    static ngx_http_proxy_module: ngx_module_t;
}

/// A directive's setter, as a table of commands has it.
pub(crate) type Setter = unsafe extern "C" fn(
    *mut ngx_conf_t,
    *mut ngx_command_t,
    *mut core::ffi::c_void,
) -> *mut core::ffi::c_char;

/// Has `set` called for the directive of a module in place of the module's own setter, which
/// [`set_as_before`] calls; nothing where nginx has no such module. Only the configuration that is
/// being read has it so: it gets a copy of the module's entry, and of its commands.
///
/// # Safety
///
/// nginx gave `cf` to a preconfiguration function; the module makes no use of the command's `post`.
pub(crate) unsafe fn intercept(
    cf: *mut ngx_conf_t,
    module: &CStr,
    directive: &[u8],
    set: Setter,
) -> Result<(), OutOfMemory> {
    // SAFETY: the caller vouches for `cf`. The cycle's list of modules, which is its own, ends with
    // null and a table of commands with an empty name; entries have their indices by now. The copies
    // last as long as the cycle.
    unsafe {
        let mut entry = (*(*cf).cycle).modules;
        while !(*entry).is_null() && CStr::from_ptr((**entry).name) != module {
            entry = entry.add(1);
        }
        if (*entry).is_null() || (**entry).commands.is_null() {
            return Ok(());
        }
        let own = (**entry).commands;
        let mut count = 0;
        while (*own.add(count)).name.len != 0 {
            count += 1;
        }
        let bytes = (count + 1) * size_of::<ngx_command_t>();
        let commands = ngx_palloc((*cf).pool, bytes).cast::<ngx_command_t>();
        let copy = pool::zeroed::<ngx_module_t>((*cf).pool)?.as_ptr();
        if commands.is_null() {
            return Err(OutOfMemory);
        }
        ptr::copy_nonoverlapping(own, commands, count + 1);
        for index in 0..count {
            let command = &mut *commands.add(index);
            if command.name.as_bytes() == directive {
                command.set = Some(set);
                command.post = own.add(index).cast();
            }
        }
        ptr::copy_nonoverlapping(*entry, copy, 1);
        (*copy).commands = commands;
        *entry = copy;
    }
    Ok(())
}

/// What the setter of an intercepted directive would have done; null if that went well.
///
/// # Safety
///
/// nginx gave all three to the setter that [`intercept`] put there.
pub(crate) unsafe fn set_as_before(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut core::ffi::c_void,
) -> *mut core::ffi::c_char {
    // SAFETY: the caller vouches for the three; intercept() keeps the module's own command there.
    unsafe {
        let own = (*command).post.cast::<ngx_command_t>();
        (*own).set.map_or(ptr::null_mut(), |set| set(cf, own, conf))
    }
}

/// The directory that a location serves; of one with variables, what stands before the first.
pub(crate) fn root(core: &ngx_http_core_loc_conf_t) -> Option<&Path> {
    let root = core.root.as_bytes();
    if core.root_lengths.is_null() {
        return Some(os::path(root));
    }
    let constant = root.split(|&byte| byte == b'$').next()?;
    let end = constant.iter().rposition(|&byte| byte == b'/').filter(|&end| end > 0)?;
    constant.get(..end).map(os::path)
}

/// `alias` with a slash at its end in a location without: nginx makes "/srv/../secret" of
/// "/a../secret".
pub(crate) fn alias_leads_out(core: &ngx_http_core_loc_conf_t) -> bool {
    let (name, root) = (core.name.as_bytes(), core.root.as_bytes());
    core.alias != 0
        && core.alias == name.len()
        && core.exact_match() == 0
        && root.ends_with(b"/")
        && !name.ends_with(b"/")
}

/// What each module says of the location that is merged, as its requests have it.
///
/// # Safety
///
/// `cf` is at a location.
pub(crate) unsafe fn locations_of(cf: *mut ngx_conf_t) -> *mut *mut core::ffi::c_void {
    // SAFETY: the caller vouches for `cf`; nginx puts the location's there while it merges.
    unsafe { (*context(cf)).loc_conf }
}

/// What the core module says of requests of the server that no location matches, and of those that
/// no client sent and that are about no file.
///
/// # Safety
///
/// `server` belongs to the configuration.
pub(crate) unsafe fn location_of_server(
    server: *mut ngx_http_core_srv_conf_t,
) -> *mut ngx_http_core_loc_conf_t {
    // SAFETY: the caller vouches for it; the core module is always there.
    unsafe {
        let index = *ptr::addr_of!(ngx_http_core_module.ctx_index);
        slot((*(*server).ctx).loc_conf, index)
    }
}

/// Has what the location does with a disk done in threads, where it says nothing of that: in
/// nginx's pool "default".
///
/// # Safety
///
/// `cf` is at the location, which is merged.
#[cfg(ngx_threads)]
pub(crate) unsafe fn run_in_threads(cf: *mut ngx_conf_t, core: &mut ngx_http_core_loc_conf_t) {
    if core.aio == NGX_HTTP_AIO_THREADS as ngx_flag_t {
        return;
    }
    // SAFETY: the caller vouches for `cf`. Without memory nginx goes on without threads.
    unsafe {
        let pool = ngx_thread_pool_add(cf, ptr::null_mut());
        if !pool.is_null() {
            core.thread_pool = pool;
            core.aio = NGX_HTTP_AIO_THREADS as ngx_flag_t;
        }
    }
}

#[cfg(not(ngx_threads))]
pub(crate) unsafe fn run_in_threads(_: *mut ngx_conf_t, _: &mut ngx_http_core_loc_conf_t) {}

/// Adds the pool of [`offload_idle`](super::offload_idle), as a `thread_pool` directive would; one that the
/// configuration has by then is taken as it is. False if nginx does not take it.
///
/// # Safety
///
/// `cf` is within `http`.
#[cfg(ngx_threads)]
pub(crate) unsafe fn add_idle_threads(cf: *mut ngx_conf_t) -> bool {
    extern "C" {
        static ngx_thread_pool_module: ngx_module_t;
    }
    let mut words = [ngx_string!("thread_pool"), thread::IDLE, ngx_string!("threads=2")];
    let mut args = ngx_array_t {
        elts: words.as_mut_ptr().cast(),
        nelts: words.len(),
        size: size_of::<ngx_str_t>(),
        nalloc: words.len(),
        pool: ptr::null_mut(),
    };
    // SAFETY: the caller vouches for `cf`. A module's commands are there for good, and of a thread pool
    // nginx keeps no more than its name: a constant of this module, which nginx unloads after the cycle's
    // threads have ended. It finds the words in `args` during the call alone; they are what its table
    // of commands says that the setter takes.
    unsafe {
        if !ngx_thread_pool_get((*cf).cycle, &mut words[1]).is_null() {
            return true;
        }
        let command = (*ptr::addr_of!(ngx_thread_pool_module)).commands;
        let Some(set) = (*command).set.filter(|_| (*command).name.as_bytes() == b"thread_pool")
        else {
            // An nginx that begins with another one: walks are then done in the location's pool.
            return true;
        };
        let before = core::mem::replace(&mut (*cf).args, &mut args);
        let failed = set(cf, command, ptr::null_mut());
        (*cf).args = before;
        failed.is_null()
    }
}

#[cfg(not(ngx_threads))]
pub(crate) unsafe fn add_idle_threads(_: *mut ngx_conf_t) -> bool {
    true
}

/// Directory of `filedist_state` and such.
///
/// # Safety
///
/// `path` belongs to the configuration.
pub(crate) unsafe fn directory<'a>(path: *const ngx_path_t) -> Option<&'a Path> {
    // SAFETY: the caller vouches for it.
    unsafe { path.as_ref() }.map(|path| os::path(path.name.as_bytes()))
}

/// Has nginx create the directory `name` below `parent` before workers start, for their user.
/// Null where there is no memory or another module uses the directory.
///
/// # Safety
///
/// `cf` is the configuration being read, `parent` is one of its paths.
pub(crate) unsafe fn subdirectory(
    cf: *mut ngx_conf_t,
    parent: *const ngx_path_t,
    name: &str,
) -> *mut ngx_path_t {
    // SAFETY: the caller vouches for both; nginx wants the name to end with NUL.
    unsafe {
        let bytes = [(*parent).name.as_bytes(), b"/", name.as_bytes(), b"\0"].concat();
        let Some(text) = ngx_str_t::from_bytes((*cf).pool, &bytes) else { return ptr::null_mut() };
        let Ok(path) = pool::zeroed::<ngx_path_t>((*cf).pool) else {
            return ptr::null_mut();
        };
        let mut path = path.as_ptr();
        (*path).name = ngx_str_t { len: text.len - 1, data: text.data };
        (*path).conf_file = (*parent).conf_file;
        (*path).line = (*parent).line;
        match ngx_add_path(cf, &mut path) as i32 {
            n if n == NGX_OK as i32 => path,
            _ => ptr::null_mut(),
        }
    }
}

/// Says in the error log why the configuration cannot work, with file and line.
///
/// # Safety
///
/// `cf` is the configuration being read.
pub(crate) unsafe fn emerg(cf: *mut ngx_conf_t, message: impl core::fmt::Display) {
    ngx::ngx_conf_log_error!(NGX_LOG_EMERG, cf, "{}", message);
}
