//! Several nodes, each a process of its own: what one is told, all know, and one may be lost.

mod cluster {
    mod backup;
    mod failover;
    mod formation;
    mod members;
    mod outage;
    mod requests;
    mod tls;
    mod upgrade;
}
