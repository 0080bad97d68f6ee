//! How a fresh node comes by its id: it founds the cluster, or joins one.
//!
//! Only the first of the sorted `members` founds, and only when every other member has answered
//! that it is fresh and has the same list: a node whose folder was wiped finds a cluster that knows
//! its address, and cannot found a second one. All others wait for the cluster and join it.

use futures::future;
use roadstead_proto::rpc::peer::{IntroduceResponse, JoinRequest};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::error::OpenError;
use crate::handle::Cluster;
use crate::identity::FIRST_NODE;
use crate::limits::{FORMATION_LOOK, FORMATION_SAID, INTRODUCE_TIME};
use crate::network::{Place, calls};

/// The place that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) node: u64,
    /// Empty for the founder: the cluster has none yet.
    pub(crate) cluster_id: String,
}

/// What to do after a look at the members.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Found,
    /// One of these is of a cluster.
    Join(Vec<String>),
    /// For what.
    Wait(String),
}

/// Waits until the node has founded its cluster or was taken in.
pub(crate) async fn find(
    place: &Place,
    cluster: &Cluster,
    feature_level_max: u64,
) -> Result<Found, OpenError> {
    let mut said = None;
    loop {
        let asked = asked(place, cluster)?;
        if asked.is_empty() && place.members.is_empty() {
            say(
                &mut said,
                &format!(
                    "nobody has told it which: `cluster.members` and `cluster.join` are not set; \
                 run `roadstead cluster add {}` on a node of the cluster",
                    place.address
                ),
            );
            sleep(FORMATION_LOOK).await;
            continue;
        }
        let answers = asked.iter().map(|address| calls::introduce(address, place));
        let answers = future::join_all(answers).await;
        let looked: Vec<_> = asked.iter().map(String::as_str).zip(answers).collect();
        let waits_for = match step(place, &looked)? {
            Step::Found => match (&cluster.found_refusal, is_reached(place).await?) {
                (Some(reason), _) => return Err(OpenError::Refused(reason.clone())),
                (None, false) => format!("{} does not lead here yet", place.address),
                (None, true) => {
                    return Ok(Found {
                        node: FIRST_NODE,
                        cluster_id: String::new(),
                    });
                }
            },
            Step::Join(addresses) => match join(place, feature_level_max, &addresses).await {
                Ok(found) => return Ok(found),
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Err(OpenError::Refused(status.message().to_owned()));
                }
                Err(status) => format!("the cluster cannot take this node in yet: {status}"),
            },
            Step::Wait(reason) => reason,
        };
        say(&mut said, &waits_for);
        sleep(FORMATION_LOOK).await;
    }
}

/// Says what the node waits for, now and then.
pub(crate) fn say(said: &mut Option<Instant>, waits_for: &str) {
    if said.is_none_or(|said| said.elapsed() >= FORMATION_SAID) {
        *said = Some(Instant::now());
        tracing::info!("waiting for the cluster: {waits_for}");
    }
}

/// Whether this node is where it says that it is. Two that say the same would both found.
async fn is_reached(place: &Place) -> Result<bool, OpenError> {
    match calls::introduce(&place.address, place).await {
        Ok(answer) if answer.instance == place.instance.to_string() => Ok(true),
        Ok(answer) => Err(OpenError::Refused(format!(
            "`cluster.advertise` is {}, where another node answers (instance {}); give each node \
             an address of its own",
            place.address, answer.instance
        ))),
        Err(_) => Ok(false),
    }
}

/// Whom to ask: everybody else.
fn asked(place: &Place, cluster: &Cluster) -> Result<Vec<String>, OpenError> {
    if let Some(join) = cluster.join.clone().or_else(|| place.invitation()) {
        return Ok(vec![join]);
    }
    if place.members.is_empty() {
        return Ok(Vec::new());
    }
    if !place.members.contains(&place.address) {
        return Err(OpenError::Refused(format!(
            "`cluster.advertise` is {}, which is none of `cluster.members` ({})",
            place.address,
            place.members.join(", ")
        )));
    }
    let others = place.members.iter();
    let others = others.filter(|member| **member != place.address);
    Ok(others.cloned().collect())
}

fn step(
    place: &Place,
    looked: &[(&str, Result<IntroduceResponse, Status>)],
) -> Result<Step, OpenError> {
    let mut silent = Vec::new();
    let mut of_cluster = Vec::new();
    let mut all_fresh = true;
    for (address, answer) in looked {
        let Ok(answer) = answer else {
            silent.push(*address);
            continue;
        };
        check(place, address, answer)?;
        if !answer.cluster_id.is_empty() {
            of_cluster.push((*address).to_owned());
        }
        all_fresh &= answer.node == 0;
    }
    let is_first = place.members.first() == Some(&place.address);
    Ok(if !of_cluster.is_empty() {
        Step::Join(of_cluster)
    } else if !silent.is_empty() {
        Step::Wait(format!("{} cannot be reached", silent.join(", ")))
    } else if is_first && all_fresh {
        Step::Found
    } else if place.members.is_empty() {
        Step::Wait("the node to join is of no cluster yet".to_owned())
    } else {
        Step::Wait(format!(
            "{} founds it",
            place.members.first().map_or("nobody", String::as_str)
        ))
    })
}

/// Whether two configurations belong together.
fn check(place: &Place, address: &str, answer: &IntroduceResponse) -> Result<(), OpenError> {
    let reason = if answer.instance == place.instance.to_string() {
        format!(
            "{address} leads to this very node, whose `cluster.advertise` is {}; name every node \
             once",
            place.address
        )
    } else if answer.name != place.name {
        format!(
            "{address} is of cluster {:?}, and `cluster.name` is {:?} here",
            answer.name, place.name
        )
    } else if !place.members.is_empty()
        && !answer.members.is_empty()
        && answer.members != place.members
    {
        format!(
            "`cluster.members` is {} here, and {} at {address}; give every node the same list, or \
             add this one with `cluster.join`",
            place.members.join(", "),
            answer.members.join(", ")
        )
    } else {
        return Ok(());
    };
    Err(OpenError::Refused(reason))
}

async fn join(
    place: &Place,
    feature_level_max: u64,
    addresses: &[String],
) -> Result<Found, Status> {
    let mut last = Status::unavailable("nobody was asked");
    for address in addresses {
        let request = JoinRequest {
            name: place.name.clone(),
            instance: place.instance.to_string(),
            address: place.address.clone(),
            feature_level_max,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_forwarded: false,
        };
        match calls::join(address, place, request, INTRODUCE_TIME).await {
            Ok(joined) => {
                return Ok(Found {
                    node: joined.node,
                    cluster_id: joined.cluster_id,
                });
            }
            Err(status) if status.code() == Code::FailedPrecondition => return Err(status),
            Err(status) => last = status,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MEMBERS: [&str; 3] = ["a:1", "b:1", "c:1"];

    fn place(address: &str) -> Place {
        let members = MEMBERS.map(str::to_owned).to_vec();
        Place::new("c".to_owned(), Uuid::nil(), address.to_owned(), members)
    }

    fn answer(node: u64, cluster_id: &str) -> IntroduceResponse {
        IntroduceResponse {
            name: "c".to_owned(),
            instance: Uuid::from_u128(7).to_string(),
            node,
            cluster_id: cluster_id.to_owned(),
            members: MEMBERS.map(str::to_owned).to_vec(),
            ..IntroduceResponse::default()
        }
    }

    fn silent() -> Result<IntroduceResponse, Status> {
        Err(Status::unavailable("nobody there"))
    }

    #[test]
    fn first_member_founds_when_all_others_are_fresh() {
        let fresh = || Ok(answer(0, ""));
        let first = place("a:1");
        let found = step(&first, &[("b:1", fresh()), ("c:1", fresh())]);
        assert_eq!(found.unwrap(), Step::Found);
        for looked in [
            [("b:1", fresh()), ("c:1", silent())],
            [("b:1", fresh()), ("c:1", Ok(answer(3, "")))],
        ] {
            let waits = step(&first, &looked).unwrap();
            assert!(matches!(waits, Step::Wait(_)), "{waits:?}");
        }
        let second = place("b:1");
        let waits = step(&second, &[("a:1", fresh()), ("c:1", fresh())]).unwrap();
        assert_eq!(waits, Step::Wait("a:1 founds it".to_owned()));
    }

    #[test]
    fn wiped_founder_finds_its_cluster() {
        let looked = [("b:1", Ok(answer(2, "x"))), ("c:1", silent())];
        let joins = step(&place("a:1"), &looked).unwrap();
        assert_eq!(joins, Step::Join(vec!["b:1".to_owned()]));
    }

    #[test]
    fn configurations_that_differ_are_refused_with_the_difference() {
        let own = place("a:1");
        let mut cases = Vec::new();
        let mut other = answer(0, "");
        other.members.pop();
        cases.push((other, "a:1, b:1 at b:1"));
        let mut other = answer(0, "");
        other.name = "d".to_owned();
        cases.push((other, "\"d\""));
        let mut other = answer(0, "");
        other.instance = Uuid::nil().to_string();
        cases.push((other, "this very node"));
        for (other, expected) in cases {
            let refused = step(&own, &[("b:1", Ok(other))]).expect_err(expected);
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }
}
