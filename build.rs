//! Bindings and C code that the `nginx-sys` crate does not bring.
//!
//! nginx-sys tells where nginx's headers are and how nginx was configured, in `DEP_NGINX_*`
//! variables, because this package names it as a direct dependency.

use std::env;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let features = env::var("DEP_NGINX_FEATURES")?;
    let includes: Vec<PathBuf> = env::split_paths(&env::var("DEP_NGINX_INCLUDE")?).collect();

    check_features(&features)?;
    let bindings = bind_headers(&includes)?;
    compile_shim(&includes, &bindings);
    Ok(())
}

/// Refuses an nginx that cannot run the module, with the words of its own `configure`.
fn check_features(features: &str) -> Result<(), Box<dyn Error>> {
    let has = |name| features.split(',').any(|feature| feature.trim() == name);
    if !has("http") {
        return Err("this nginx was configured --without-http: filedist needs it".into());
    }
    for (feature, cfg) in [
        ("threads", "ngx_threads"),
        ("ssl", "ngx_ssl"),
        ("pcre", "ngx_pcre"),
        ("http_v2", "ngx_http_v2"),
    ] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if has(feature) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
    Ok(())
}

/// MD5, for Content-MD5, which nginx-sys has no header for, and the constants of abi.h.
fn bind_headers(includes: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/nginx/abi.h");
    let bindings = bindgen::Builder::default()
        .header("src/nginx/abi.h")
        .header_contents("digest.h", "#include <ngx_config.h>\n#include <ngx_md5.h>\n")
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .allowlist_function("ngx_md5_(init|update|final)")
        .allowlist_type("ngx_md5_t")
        .allowlist_var("abi_.*")
        .prepend_enum_name(false)
        .derive_default(true)
        .layout_tests(false)
        // Without a rustfmt all would be one line.
        .formatter(bindgen::Formatter::Prettyplease)
        .use_core()
        .generate()?
        .to_string();
    std::fs::write(PathBuf::from(env::var("OUT_DIR")?).join("headers.rs"), &bindings)?;
    Ok(bindings)
}

fn compile_shim(includes: &[PathBuf], bindings: &str) {
    println!("cargo::rerun-if-changed=src/nginx/shim.c");
    let mut build = cc::Build::new();
    build.includes(includes).file("src/nginx/shim.c").warnings(true).warnings_into_errors(true);
    // nginx's own headers have unused parameters in their inline functions.
    build.flag("-Wno-unused-parameter");
    for (name, value) in abi_constants(bindings) {
        build.define(&format!("ABI_{name}"), value);
    }
    build.compile("filedist_shim");
}

/// `pub const abi_NAME: TYPE = VALUE;` of bindgen's output as (NAME, VALUE).
fn abi_constants(bindings: &str) -> impl Iterator<Item = (&str, &str)> {
    bindings.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix("pub const abi_")?.split_once(':')?;
        Some((name, rest.split_once('=')?.1.trim().trim_end_matches(';')))
    })
}
