/*
 * Sets the bit fields of nginx's structures as this compiler lays them out, for src/nginx/abi.rs to
 * compare. build.rs writes their list, from nginx's headers.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* All bits of field `n` of the list, in a zeroed structure; 0 if that has another size. */
ngx_uint_t
ngx_http_filedist_set_bit_field(ngx_uint_t n, void *structure, size_t size)
{
    switch (n) {

#define NGX_HTTP_FILEDIST_BIT_FIELD(n, type, field)                           \
    case n:                                                                   \
        if (size != sizeof(type)) {                                           \
            return 0;                                                         \
        }                                                                     \
        ((type *) structure)->field = ~((type *) structure)->field;           \
        return 1;

#include "bit_fields.h"

    }

    return 0;
}
