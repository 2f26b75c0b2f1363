//! argv → cli → exit code.

use std::{env, process::ExitCode};

use argospool::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // An error says that a provider is there already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // sled makes its files as the umask lets it, and nobody else may read what is in them.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // One thread for everything that waits; what blocks or computes brings threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return cli::Exit::Failed.into();
        }
    };
    runtime.block_on(cli::run(env::args_os(), env::vars_os().collect())).into()
}
