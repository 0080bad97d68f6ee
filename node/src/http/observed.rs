//! What is recorded of a request when the last byte of its answer is out, or the client has gone.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Version};
use actix_web::web::Data;
use bytes::Bytes;

use super::connection::Sent;
use super::request::content_length;
use super::server::Shared;
use crate::telemetry::access_log::Entry;
use crate::telemetry::metrics::{Completed, Method as CountedMethod, RequestInFlight};

/// What is recorded when the last byte is out, or the client has gone.
pub(super) struct Finished {
    pub(super) shared: Data<Shared>,
    pub(super) request: HttpRequest,
    pub(super) received_at: SystemTime,
    // Taken when it is done.
    pub(super) in_flight: Option<RequestInFlight>,
}

/// A body that counts what is sent of it.
pub(super) struct Observed {
    pub(super) body: BoxBody,
    pub(super) bytes: u64,
    // What went out without passing through the body.
    pub(super) sent: Sent,
    pub(super) status: u16,
    pub(super) finished: Finished,
}

impl MessageBody for Observed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(data))) = &polled {
            self.bytes += data.len() as u64;
        }
        polled
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let in_flight = self.finished.in_flight.take();
        let Finished {
            shared,
            request,
            received_at,
            ..
        } = &self.finished;
        // Small bodies are handed over whole and never polled.
        let response_bytes = match self.body.size() {
            BodySize::Sized(size) if self.bytes == 0 && request.method() != Method::HEAD => size,
            _ => self.bytes + self.sent.bytes(),
        };
        if let Some(in_flight) = in_flight {
            in_flight.complete(Completed {
                method: CountedMethod::of(request.method().as_str()),
                status: self.status,
                request_bytes: content_length(request).unwrap_or(0),
                response_bytes,
            });
        }
        if !shared.access_log.is_enabled() {
            return;
        }
        let headers = request.headers();
        shared.access_log.record(&Entry {
            remote: request.peer_addr().map(|address| address.ip()),
            user: None,
            received_at: *received_at,
            method: request.method().as_str(),
            target: request
                .uri()
                .path_and_query()
                .map_or("-", |target| target.as_str()),
            protocol: protocol(request.version()),
            status: self.status,
            bytes: response_bytes,
            referer: headers.get(header::REFERER).map(HeaderValue::as_bytes),
            user_agent: headers.get(header::USER_AGENT).map(HeaderValue::as_bytes),
        });
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
