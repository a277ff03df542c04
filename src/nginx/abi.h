/*
 * Sizes and offsets of the nginx structures that the module writes to. bindgen turns them into
 * Rust constants; src/nginx/abi.rs compares those with Rust's view, src/nginx/shim.c with the
 * compiler's.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define NGX_HTTP_FILEDIST_ABI(f)                                              \
    f(request_size, sizeof(ngx_http_request_t))                               \
    f(request_body, offsetof(ngx_http_request_t, request_body))               \
    f(request_uri, offsetof(ngx_http_request_t, uri))                         \
    f(request_cleanup, offsetof(ngx_http_request_t, cleanup))                 \
    f(headers_in_size, sizeof(ngx_http_headers_in_t))                         \
    f(upstream_size, sizeof(ngx_http_upstream_t))                             \
    f(upstream_output, offsetof(ngx_http_upstream_t, output))                 \
    f(upstream_writer, offsetof(ngx_http_upstream_t, writer))                 \
    f(upstream_cleanup, offsetof(ngx_http_upstream_t, cleanup))               \
    f(upstream_conf_size, sizeof(ngx_http_upstream_conf_t))                   \
    f(rr_peer_size, sizeof(ngx_http_upstream_rr_peer_t))                      \
    f(rr_peer_data_size, sizeof(ngx_http_upstream_rr_peer_data_t))            \
    f(core_loc_conf_size, sizeof(ngx_http_core_loc_conf_t))                   \
    f(core_loc_conf_handler, offsetof(ngx_http_core_loc_conf_t, handler))     \
    f(connection_size, sizeof(ngx_connection_t))                              \
    f(event_size, sizeof(ngx_event_t))                                        \
    f(buf_size, sizeof(ngx_buf_t))

#define NGX_HTTP_FILEDIST_ENUM(name, value)  abi_##name = (value),

enum { NGX_HTTP_FILEDIST_ABI(NGX_HTTP_FILEDIST_ENUM) abi_end };
