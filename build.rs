//! Bindings and C code that the `nginx-sys` crate does not bring.
//!
//! nginx-sys tells where nginx's headers are and how nginx was configured, in `DEP_NGINX_*`
//! variables, because this package names it as a direct dependency.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let features = env::var("DEP_NGINX_FEATURES")?;
    let includes: Vec<PathBuf> = env::split_paths(&env::var("DEP_NGINX_INCLUDE")?).collect();

    if includes.iter().any(|directory| directory.join("angie.h").exists()) {
        return Err("Angie is not supported: nginx-sys and ngx do not compile for it".into());
    }
    check_features(&features)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let bindings = bind_headers(&includes)?;
    fs::write(out.join("headers.rs"), &bindings)?;
    list_bit_fields(&includes, &out)?;
    compile_shim(&includes, &bindings, &out);
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

fn bindgen(includes: &[PathBuf]) -> Result<bindgen::Builder, Box<dyn Error>> {
    Ok(bindgen::Builder::default()
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .rust_target(env::var("CARGO_PKG_RUST_VERSION")?.parse()?)
        .layout_tests(false)
        .use_core()
        // Without a rustfmt all would be one line.
        .formatter(bindgen::Formatter::Prettyplease))
}

/// MD5, for Content-MD5, which nginx-sys has no header for, and the constants of abi.h.
fn bind_headers(includes: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/nginx/abi.h");
    let bindings = bindgen(includes)?
        .header("src/nginx/abi.h")
        .header_contents("digest.h", "#include <ngx_config.h>\n#include <ngx_md5.h>\n")
        .allowlist_function("ngx_md5_(init|update|final)")
        .allowlist_type("ngx_md5_t")
        .allowlist_var("abi_.*")
        .prepend_enum_name(false)
        .derive_default(true)
        .generate()?
        .to_string();
    Ok(bindings)
}

/// Lists all bit fields of nginx's structures, for Rust (src/nginx/abi.rs) and C (bit_fields.c).
fn list_bit_fields(includes: &[PathBuf], out: &Path) -> Result<(), Box<dyn Error>> {
    // What of nginx-sys's own list of headers may have structures that this crate knows.
    let headers = "#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_http.h>\n";
    let bindings = bindgen(includes)?
        .header_contents("bit_fields.h", headers)
        .allowlist_type("ngx_.*")
        .ignore_functions()
        .generate()?
        .to_string();

    let (mut rust, mut c, mut n) = (String::from("[\n"), String::new(), 0);
    let mut structure = "";
    for line in bindings.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            structure = rest.trim_end_matches([' ', '{']);
        }
        // A structure in another one has no name in C; nginx has none with bit fields.
        if !structure.starts_with("ngx_") || structure.contains("__bindgen") {
            continue;
        }
        let Some((field, _)) =
            line.strip_prefix("    pub fn set_").and_then(|rest| rest.split_once('('))
        else {
            continue;
        };
        // nginx's names: "struct ngx_x_s", with a type ngx_x_t, or such a type alone.
        let tag = if structure.ends_with("_s") { "struct " } else { "" };
        rust += &format!("    bit_field!({structure}, \"{field}\", set_{field}),\n");
        c += &format!("NGX_HTTP_FILEDIST_BIT_FIELD({n}, {tag}{structure}, {field})\n");
        n += 1;
    }
    rust += "]\n";
    fs::write(out.join("bit_fields.rs"), rust)?;
    fs::write(out.join("bit_fields.h"), c)?;
    Ok(())
}

fn compile_shim(includes: &[PathBuf], bindings: &str, out: &Path) {
    let mut build = cc::Build::new();
    for file in ["src/nginx/shim.c", "src/nginx/bit_fields.c"] {
        println!("cargo::rerun-if-changed={file}");
        build.file(file);
    }
    build.includes(includes).include(out).warnings(true).warnings_into_errors(true);
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
