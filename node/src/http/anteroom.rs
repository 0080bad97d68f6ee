//! What a node answers that has not found its cluster yet: that it is alive, and that nobody is to
//! send requests here. Whoever wants to administer it is turned away at once.
//!
//! The listeners are those of the servers that come after, to which whoever was not accepted yet is
//! left. There is no access log, and requests are not counted.

use std::io;

use actix_web::http::ConnectionType;
use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, web};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::base;
use super::request::request_id;
use super::response::{API_VERSION, REQUEST_ID};
use super::server::{Bound, Server};
use crate::error::RegistryError;
use crate::limits::{ACCEPT_PAUSE, Capacity, DEBUG_DRAIN_SECONDS, REQUEST_HEAD_TIME};

/// Serves until the node has found its cluster.
#[derive(Debug)]
pub struct Anteroom {
    server: Server,
    turning_away: Option<JoinHandle<()>>,
}

impl Anteroom {
    /// Answers HTTP on these, and nothing where the node is to be administered. Must be called
    /// inside an actix system.
    ///
    /// # Errors
    /// When the system gives no threads or no more files.
    pub fn start<'b>(
        http: impl IntoIterator<Item = &'b Bound>,
        administration: Option<&Bound>,
        capacity: Capacity,
    ) -> io::Result<Self> {
        let mut server = HttpServer::new(|| App::new().default_service(web::to(answer)))
            .workers(1)
            .max_connections(capacity.connections)
            .client_request_timeout(REQUEST_HEAD_TIME)
            .shutdown_timeout(DEBUG_DRAIN_SECONDS)
            .disable_signals();
        for bound in http {
            server = server.listen(bound.another()?)?;
        }
        let turned_away = administration.map(|bound| {
            let listener = bound.another()?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        let turned_away = turned_away.transpose()?;
        Ok(Self {
            server: Server::run(server.run()),
            turning_away: turned_away.map(|listener| actix_rt::spawn(turn_away(listener))),
        })
    }

    /// Leaves the listeners to others.
    pub async fn stop(self) {
        if let Some(turning_away) = self.turning_away {
            turning_away.abort();
        }
        self.server.stop(true).await;
    }
}

async fn turn_away(listener: TcpListener) {
    loop {
        if listener.accept().await.is_err() {
            // Too many open files: some are closed in a moment.
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn answer(request: HttpRequest) -> HttpResponse {
    let mut response = match request.path() {
        "/livez" => base::alive(),
        _ => RegistryError::Waiting.error_response(),
    };
    let head = response.head_mut();
    let (name, value) = API_VERSION;
    head.headers_mut().insert(name, value);
    if let Ok(id) = HeaderValue::from_str(&request_id(request.headers())) {
        head.headers_mut().insert(REQUEST_ID, id);
    }
    // Whoever asks again is to meet the registry itself as soon as it is there.
    head.set_connection_type(ConnectionType::Close);
    response
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpStream};
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn no_processor_is_taken_while_the_system_gives_no_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // From now on the system refuses, as it does where no file is left.
        let same = OwnedFd::from(listener.try_clone().unwrap());
        TcpStream::from(same).shutdown(Shutdown::Both).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let worked = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let (before, time) = (worked(), ACCEPT_PAUSE * 4);
        let ended = timeout(time, turn_away(listener)).await;
        assert!(ended.is_err(), "some are turned away later");
        assert!(worked() - before < time / 2, "it asks again and again");
    }
}
