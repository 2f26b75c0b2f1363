//! Turns `proto/` into Rust in `OUT_DIR`. Protox compiles in this process, so no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 3] =
    ["argospool/v1/admin.proto", "argospool/v1/liveform.proto", "argospool/v1/token_pool.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The reflection service answers from the same descriptors that the code was generated from.
    fs::write(out.join("argospool.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::api::Frugal")
        // Sorted, so that what is said twice is the same bytes twice.
        .btree_map(".")
        // They hold secrets and personal data; src/api.rs prints what may be printed.
        .skip_debug(["argospool.v1.Lease", "argospool.v1.LiveformParams"])
        .compile_fds(descriptors)?;
    Ok(())
}
