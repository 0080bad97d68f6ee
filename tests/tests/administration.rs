//! Administration: the service by gRPC, and the commands that are its clients.

mod administration {
    mod asked;
    mod collection;
    mod commands;
    mod repositories;
    mod service;
    mod start;
    mod uploads;
    mod verify;
}
