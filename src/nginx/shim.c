/*
 * What only C can do: nginx's macros that take locks, whose bodies differ between versions, and
 * the check that the structures which Rust writes to are the ones that this compiler builds (their
 * bit fields are in bit_fields.c).
 */

#include "abi.h"


/* build.rs passes each value that bindgen saw as ABI_<name>. */
#define NGX_HTTP_FILEDIST_ASSERT(name, value)                                 \
    _Static_assert(ABI_##name == (value), "bindgen and the C compiler disagree on " #name);

NGX_HTTP_FILEDIST_ABI(NGX_HTTP_FILEDIST_ASSERT)


/*
 * Takes `peer` for the connection as ngx_http_upstream_get_round_robin_peer() does with the peer
 * of its choice. `rrp->peers` is the group that `peer` belongs to. NGX_BUSY: the peer is down,
 * failed lately (max_fails), or has max_conns connections. `how`: 0 heeds all of that, 1 nothing
 * (it is the peer that was taken last, once more), 2 all but the failures.
 */
ngx_int_t
ngx_http_filedist_take_peer(ngx_peer_connection_t *pc, ngx_http_upstream_rr_peer_data_t *rrp,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t how)
{
    ngx_http_upstream_rr_peers_t  *peers = rrp->peers;

    pc->cached = 0;
    pc->connection = NULL;

    ngx_http_upstream_rr_peers_wlock(peers);

    if (how != 1
        && (peer->down
            || (peer->max_conns && peer->conns >= peer->max_conns)
            || (how == 0
                && !peers->single
                && peer->max_fails
                && peer->fails >= peer->max_fails
                && ngx_time() - peer->checked <= peer->fail_timeout)))
    {
        ngx_http_upstream_rr_peers_unlock(peers);
        pc->name = &peer->name;
        return NGX_BUSY;
    }

    /* as ngx_http_upstream_get_peer(): the first request after fail_timeout is the check */
    if (ngx_time() - peer->checked > peer->fail_timeout) {
        peer->checked = ngx_time();
    }

    rrp->current = peer;
    peer->conns++;

#if (nginx_version >= 1027003)
    ngx_http_upstream_rr_peer_ref(peers, peer);
#endif

    pc->sockaddr = peer->sockaddr;
    pc->socklen = peer->socklen;
    pc->name = &peer->name;

    ngx_http_upstream_rr_peers_unlock(peers);

    return NGX_OK;
}


/*
 * Forgets the failures of a server's addresses, which follow one another in the list.
 */
void
ngx_http_filedist_clear_fails(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t addresses)
{
    ngx_http_upstream_rr_peers_wlock(peers);

    for ( /* void */ ; addresses && peer; addresses--, peer = peer->next) {
        peer->fails = 0;
    }

    ngx_http_upstream_rr_peers_unlock(peers);
}


/*
 * Takes a request that no client sent out of the numbers of stub_status, which nginx has just put
 * it into.
 */
void
ngx_http_filedist_uncount(ngx_http_request_t *r)
{
#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    (void) ngx_atomic_fetch_add(ngx_stat_requests, -1);
    r->stat_reading = 0;
#else
    (void) r;
#endif
}


/*
 * The proxy module's location configuration. Up to 1.29.3 its structure has no header of its own;
 * these are its first fields, which have not changed from 1.19.3 on.
 */
#if __has_include(<ngx_http_proxy_module.h>)

#include <ngx_http_proxy_module.h>

#else

typedef struct {
    ngx_str_t                 key_start;
    ngx_str_t                 schema;
    ngx_str_t                 host_header;
    ngx_str_t                 port;
    ngx_str_t                 uri;
} ngx_http_proxy_vars_t;

typedef struct {
    ngx_array_t              *flushes;
    ngx_array_t              *lengths;
    ngx_array_t              *values;
    ngx_hash_t                hash;
} ngx_http_proxy_headers_t;

typedef struct {
    ngx_http_upstream_conf_t  upstream;
    ngx_array_t              *body_flushes;
    ngx_array_t              *body_lengths;
    ngx_array_t              *body_values;
    ngx_str_t                 body_source;
    ngx_http_proxy_headers_t  headers;
#if (NGX_HTTP_CACHE)
    ngx_http_proxy_headers_t  headers_cache;
#endif
    ngx_array_t              *headers_source;
    ngx_array_t              *proxy_lengths;
    ngx_array_t              *proxy_values;
    ngx_array_t              *redirects;
    ngx_array_t              *cookie_domains;
    ngx_array_t              *cookie_paths;
    ngx_array_t              *cookie_flags;
    ngx_http_complex_value_t *method;
    ngx_str_t                 location;
    ngx_str_t                 url;
#if (NGX_HTTP_CACHE)
    ngx_http_complex_value_t  cache_key;
#endif
    ngx_http_proxy_vars_t     vars;
} ngx_http_proxy_loc_conf_t;

#endif


/* The URI that "proxy_pass" has behind the name of the upstream; empty if it has none. */
ngx_str_t *
ngx_http_filedist_proxy_uri(ngx_http_proxy_loc_conf_t *plcf)
{
    return &plcf->vars.uri;
}


/* What "proxy_set_header" says: an array of ngx_keyval_t, or NULL. */
ngx_array_t *
ngx_http_filedist_proxy_headers(ngx_http_proxy_loc_conf_t *plcf)
{
    return plcf->headers_source;
}


/* "proxy_set_body" */
ngx_uint_t
ngx_http_filedist_proxy_sets_body(ngx_http_proxy_loc_conf_t *plcf)
{
    return plcf->body_source.data != NULL;
}


/* "proxy_method" */
ngx_uint_t
ngx_http_filedist_proxy_sets_method(ngx_http_proxy_loc_conf_t *plcf)
{
    return plcf->method != NULL;
}


/* "proxy_pass" has variables. */
ngx_uint_t
ngx_http_filedist_proxy_has_variables(ngx_http_proxy_loc_conf_t *plcf)
{
    return plcf->proxy_lengths != NULL;
}
