//! What can be done to a request or its answer, and plans that choose by a seed.

use std::time::Duration;

use super::Seen;
use super::head::Kind;
use crate::Chance;

/// What is done to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with 500 by the proxy; the store does not hear of it.
    Error,
    /// Answered with 503 `SlowDown` by the proxy; the store does not hear of it.
    SlowDown,
    /// The connection is reset when the head has come; the store does not hear of it.
    Reset,
    /// The connection is reset in the middle of the request's body, to the store as well.
    ResetInBody,
    /// Nothing happens for so long, and then all goes on.
    Stall(Duration),
    /// Nothing ever happens: until the client gives up, or the proxy ends.
    Hang,
    /// The store has done what was asked, and the connection is reset before the answer.
    AnswerLost,
    /// The store has done what was asked, and the answer is 500.
    AnswerError,
    /// Half of the answer's body comes, and nothing more.
    AnswerHangs,
    /// Half of the answer's body comes, and then an orderly end.
    AnswerTruncated,
    /// The answer says half of its length, and has that half.
    AnswerShort,
    /// A 200 whose body is an error, as S3 gives it where the work is long; it was not done.
    ErrorIn200,
}

impl Fault {
    /// Whether it can be done to this request, and is something that stores do.
    pub(super) fn fits(self, seen: &Seen) -> bool {
        let has_answer = !matches!(seen.method.as_str(), "HEAD" | "DELETE");
        match self {
            Self::ResetInBody => seen.length.is_some_and(|length| length > 1),
            Self::AnswerHangs | Self::AnswerTruncated | Self::AnswerShort => {
                has_answer && !matches!(seen.kind, Kind::Put | Kind::UploadPart)
            }
            Self::ErrorIn200 => matches!(seen.kind, Kind::Complete | Kind::Copy | Kind::CopyPart),
            Self::Error
            | Self::SlowDown
            | Self::Reset
            | Self::Stall(_)
            | Self::Hang
            | Self::AnswerLost
            | Self::AnswerError => true,
        }
    }
}

/// A plan: so many of a hundred requests get one of these, chosen by a seed.
#[derive(Debug, Clone)]
pub struct Planned {
    chance: Chance,
    percent: usize,
    faults: Vec<Fault>,
}

impl Planned {
    /// Every kind of fault that ends by itself. A stall is shorter than any time-out.
    pub fn anything(chance: Chance, percent: usize, stall: Duration) -> Self {
        let faults = vec![
            Fault::Error,
            Fault::SlowDown,
            Fault::Reset,
            Fault::ResetInBody,
            Fault::Stall(stall),
            Fault::AnswerLost,
            Fault::AnswerError,
            Fault::AnswerTruncated,
            Fault::AnswerShort,
            Fault::ErrorIn200,
        ];
        Self::of(chance, percent, faults)
    }

    /// These.
    pub fn of(chance: Chance, percent: usize, faults: Vec<Fault>) -> Self {
        Self {
            chance,
            percent,
            faults,
        }
    }

    /// What this request gets. One that the choice does not fit gets nothing.
    pub fn choose(&mut self, seen: &Seen) -> Option<Fault> {
        if !self.chance.percent(self.percent) {
            return None;
        }
        let fitting: Vec<_> = self
            .faults
            .iter()
            .filter(|fault| fault.fits(seen))
            .collect();
        self.chance.pick(&fitting).map(|fault| **fault)
    }
}
