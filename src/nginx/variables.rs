//! `$filedist_*`: what became of a change, for the access log.

use core::mem;

use nginx_sys::*;

use super::request::Request;
use super::task;

/// What is known of a change. Nothing, of a request that is none.
#[derive(Debug, Default)]
pub struct Record {
    /// The change's version; 0 is none.
    pub version: u64,
    /// In a word; empty before there is one.
    pub outcome: &'static str,
    /// Children that have the change, and that have not.
    pub children_ok: u64,
    pub children_failed: u64,
}

impl Record {
    /// As text. None of what is not known.
    fn value(&self, variable: usize) -> Option<String> {
        if self.outcome.is_empty() {
            return None;
        }
        Some(match variable {
            0 => Some(self.version).filter(|&version| version > 0)?.to_string(),
            1 => self.outcome.into(),
            2 => self.children_ok.to_string(),
            _ => self.children_failed.to_string(),
        })
    }
}

const NAMES: [&str; 4] =
    ["filedist_version", "filedist_outcome", "filedist_children_ok", "filedist_children_failed"];

impl Request {
    /// Changes what is known of the change that the client has asked for.
    pub fn record(&self, change: impl FnOnce(&mut Record)) {
        if let Some(mut record) = task::of(*self).and_then(|task| task.record.try_borrow_mut().ok())
        {
            change(&mut record);
        }
    }
}

/// A variable of the configuration, by which nginx finds its value in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Without the dollar sign.
    pub name: Vec<u8>,
    index: usize,
}

impl Variable {
    /// The variable of that name; none without memory.
    ///
    /// # Safety
    ///
    /// `cf` is the configuration being read.
    pub unsafe fn new(cf: *mut ngx_conf_t, name: &[u8]) -> Option<Variable> {
        let mut text = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: the caller vouches for `cf`; nginx copies the name.
        let index = unsafe { ngx_http_get_variable_index(cf, &mut text) };
        Some(Variable { name: name.to_vec(), index: usize::try_from(index).ok()? })
    }

    /// Its value in a request; empty where it has none.
    pub fn value<'a>(&self, r: &'a Request) -> &'a [u8] {
        // SAFETY: the index is one of the configuration that the request runs in; the value's text is
        // there as long as the request.
        unsafe {
            match ngx_http_get_indexed_variable(r.as_ptr(), self.index).as_ref() {
                Some(value) if value.not_found() == 0 && value.len() > 0 => {
                    core::slice::from_raw_parts(value.data, value.len() as usize)
                }
                _ => &[],
            }
        }
    }

    /// Gives it a value in a request of the worker's own, which nothing could be found out from. False
    /// without memory.
    pub fn set(&self, r: &Request, text: &[u8]) -> bool {
        let Ok(text) = r.copy(text) else { return false };
        // SAFETY: the request has a value for each variable of its configuration; nginx takes one that
        // is valid as it is.
        unsafe {
            let value = &mut *(*r.as_ptr()).variables.add(self.index);
            *value = mem::zeroed();
            value.set_len(text.len as u32);
            value.set_valid(1);
            value.data = text.data;
        }
        true
    }
}

/// Makes the variables known. False without memory.
///
/// # Safety
///
/// `cf` is the configuration, before `http` is read.
pub unsafe fn add(cf: *mut ngx_conf_t) -> bool {
    NAMES.iter().enumerate().all(|(index, name)| {
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: the caller vouches for `cf`; nginx copies the name. What is known changes while
        // the request runs.
        unsafe {
            let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
            let Some(variable) = ngx_http_add_variable(cf, &mut name, flags).as_mut() else {
                return false;
            };
            variable.get_handler = Some(get);
            variable.data = index;
            true
        }
    })
}

unsafe extern "C" fn get(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    variable: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request, and a value to be filled. A subrequest's is that of the
    // client's request.
    unsafe {
        let text = Request::from_ptr((*r).main).and_then(|main| {
            let record = task::of(main)?.record.try_borrow().ok()?;
            main.copy(record.value(variable)?.as_bytes()).ok()
        });
        *value = mem::zeroed();
        let Some(text) = text else {
            (*value).set_not_found(1);
            return NGX_OK as ngx_int_t;
        };
        (*value).set_len(text.len as u32);
        (*value).set_valid(1);
        (*value).data = text.data;
    }
    NGX_OK as ngx_int_t
}
