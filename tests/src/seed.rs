//! The seed of a suite that draws at random, told when it fails; and numbers from the environment.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Chance;

/// Tells how to repeat its choices when it goes in a panic.
#[derive(Debug)]
pub struct Seed {
    value: u64,
    variable: &'static str,
    target: &'static str,
    // Other variables that have to be the same.
    beside: String,
}

impl Seed {
    /// The one that the environment's variable gives, or a new one; `make` runs the suite by
    /// `target`.
    pub fn take(variable: &'static str, target: &'static str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let fresh = since.map_or(0, |since| u64::from(since.subsec_nanos()));
        Self {
            value: number(variable).unwrap_or(fresh),
            variable,
            target,
            beside: String::new(),
        }
    }

    /// Says that its choices depend on this variable, too.
    pub fn beside(mut self, variable: &str, value: u64) -> Self {
        self.beside.push_str(&format!(" {variable}={value}"));
        self
    }

    /// The choices that follow from it.
    pub fn chance(&self) -> Chance {
        Chance::new(self.value)
    }
}

impl Drop for Seed {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        let Self {
            value,
            variable,
            target,
            beside,
        } = self;
        if std::thread::panicking() {
            eprintln!("to repeat its choices: {variable}={value}{beside} make {target}");
        }
    }
}

/// The number in a variable of the environment, if it is set.
pub fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
