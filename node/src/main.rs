//! The `roadstead` program. Everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    roadstead::cli::run(std::env::args_os())
}
