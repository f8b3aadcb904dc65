//! How the gateway binary is linked.
//!
//! Built for size (`--profile dist`), its relative relocations are packed: 0.8 MB less. A glibc older than 2.36
//! refuses such a program with a clear word, so this is done only where the machine that builds has that glibc and
//! builds for its own kind; elsewhere the binary is larger and runs.

use std::env::var;
use std::process::Command;

const GLIBC_MIN: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| var(name).is_ok_and(|of| of == value);
    let for_size =
        is("OPT_LEVEL", "z") && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if for_size && var("HOST") == var("TARGET") && glibc().is_some_and(|of| of >= GLIBC_MIN) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Of this machine: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
