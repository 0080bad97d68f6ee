//! The life of a node: first start, restart, crash, shutdown, and what operators see of it.

mod lifecycle {
    mod command_line;
    mod crash;
    mod first_start;
    mod health;
    mod logs;
    mod metrics;
    mod restart;
    mod shutdown;
}
