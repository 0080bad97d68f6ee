//! Commands about the cluster itself: its founding, its nodes, its settings.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    AdmitNode, Admitted, ChangeSettings, ConfirmMarker, FoundCluster, RaiseFeatureLevel, Response,
    RestoreCluster, StartNode, Started,
};
use roadstead_proto::rpc::state::{Member, Settings};

use super::refusal::{answer, done, refuse};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{keys, read};

/// The id of the node that founds a cluster.
const FOUNDER: u64 = 1;

/// The first command. A second founding by the same founder is a retry.
pub(super) fn found<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    found: &FoundCluster,
) -> Result<Response, Fault> {
    match transaction.row(&keys::settings())? {
        Some(settings) if settings.cluster_id == found.cluster_id => Ok(done()),
        Some(_) => Ok(refuse(Reason::IdentityMismatch)),
        None => {
            let settings = Settings {
                cluster_id: found.cluster_id.clone(),
                incarnation: 1,
                marker_written: false,
                feature_level: found.feature_level,
                grace_ms: found.grace_ms,
                ..Settings::default()
            };
            transaction.put(&keys::settings(), &settings);
            Ok(done())
        }
    }
}

/// A fresh node gets an id that none has had. The founder has the first.
pub(super) fn admit_node<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    admit: &AdmitNode,
) -> Result<Response, Fault> {
    let level = transaction
        .row(&keys::settings())?
        .unwrap_or_default()
        .feature_level;
    if admit.feature_level_max < level {
        return Ok(refuse(Reason::FeatureLevel));
    }
    let mut highest = FOUNDER;
    for (node, member) in read::members(transaction)? {
        if member.instance == admit.instance {
            return Ok(if member.removed {
                refuse(Reason::IdentityMismatch)
            } else {
                answer(Outcome::Admitted(Admitted { node }))
            });
        }
        if !member.removed && member.address == admit.address {
            // Two folders under one address: the former one has to be removed first.
            return Ok(refuse(Reason::IdentityMismatch));
        }
        highest = highest.max(node);
    }
    let node = highest + 1;
    let member = Member {
        instance: admit.instance.clone(),
        address: admit.address.clone(),
        feature_level_max: admit.feature_level_max,
        version: admit.version.clone(),
        ..Member::default()
    };
    transaction.put(&keys::member(node), &member);
    Ok(answer(Outcome::Admitted(Admitted { node })))
}

/// From now on nothing that the node asks for happens, and another may have its address.
pub(super) fn remove_node<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    node: u64,
) -> Result<Response, Fault> {
    let key = keys::member(node);
    let Some(member) = transaction.row(&key)? else {
        return Ok(refuse(Reason::IdentityMismatch));
    };
    let removed = Member {
        removed: true,
        ..member
    };
    transaction.put(&key, &removed);
    Ok(done())
}

/// The cluster begins a new life from a backup, in which nobody of the former one takes part.
pub(super) fn restore<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    restore: &RestoreCluster,
) -> Result<Response, Fault> {
    let mut settings = transaction.row(&keys::settings())?.unwrap_or_default();
    if settings.cluster_id != restore.cluster_id || restore.incarnation < settings.incarnation {
        return Ok(refuse(Reason::IdentityMismatch));
    }
    if settings.incarnation == restore.incarnation {
        // A repeated one must not remove who has joined since.
        return Ok(done());
    }
    if transaction.row(&keys::member(restore.node))?.is_some() {
        return Ok(refuse(Reason::IdentityMismatch));
    }
    settings.incarnation = restore.incarnation;
    settings.marker_written = false;
    settings.verify_due = true;
    transaction.put(&keys::settings(), &settings);
    for (node, member) in read::members(transaction)? {
        let removed = Member {
            removed: true,
            ..member
        };
        transaction.put(&keys::member(node), &removed);
    }
    // Before it starts for the first time: nobody else may be given its id.
    let member = Member {
        instance: restore.instance.clone(),
        address: restore.address.clone(),
        ..Member::default()
    };
    transaction.put(&keys::member(restore.node), &member);
    Ok(done())
}

/// What the backup names was looked for in the store: deletes may go on.
pub(super) fn confirm_verified<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
) -> Result<Response, Fault> {
    let mut settings = transaction.row(&keys::settings())?.unwrap_or_default();
    settings.verify_due = false;
    transaction.put(&keys::settings(), &settings);
    Ok(done())
}

/// A node begins a new life: whatever its earlier ones still have under way is refused from now.
pub(super) fn start_node<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    start: &StartNode,
) -> Result<Response, Fault> {
    let level = transaction
        .row(&keys::settings())?
        .unwrap_or_default()
        .feature_level;
    if start.feature_level_max < level {
        return Ok(refuse(Reason::FeatureLevel));
    }
    let key = keys::member(start.node);
    let former = transaction.row(&key)?;
    let is_another = |former: &Member| former.removed || former.instance != start.instance;
    if former.as_ref().is_some_and(is_another) {
        return Ok(refuse(Reason::IdentityMismatch));
    }
    let former = former.unwrap_or_default();
    let boot = former.boot + 1;
    let member = Member {
        instance: start.instance.clone(),
        address: start.address.clone(),
        boot,
        lowest_serial: 0,
        feature_level_max: start.feature_level_max,
        version: start.version.clone(),
        removed: false,
        dropped_boot: former.dropped_boot,
        dropped_serial: former.dropped_serial,
    };
    transaction.put(&key, &member);
    Ok(answer(Outcome::Started(Started { boot })))
}

/// From now on a store without the marker is an alarm.
pub(super) fn confirm_marker<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    confirm: &ConfirmMarker,
) -> Result<Response, Fault> {
    let mut settings = transaction.row(&keys::settings())?.unwrap_or_default();
    if settings.cluster_id != confirm.cluster_id || settings.incarnation != confirm.incarnation {
        return Ok(refuse(Reason::IdentityMismatch));
    }
    settings.marker_written = true;
    transaction.put(&keys::settings(), &settings);
    Ok(done())
}

/// Changes what is named, and nothing else.
pub(super) fn change_settings<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    change: &ChangeSettings,
) -> Result<Response, Fault> {
    let mut settings = transaction.row(&keys::settings())?.unwrap_or_default();
    if let Some(grace_ms) = change.grace_ms {
        settings.grace_ms = grace_ms;
    }
    if let Some(reading_delay_ms) = change.reading_delay_ms {
        settings.reading_delay_ms = Some(reading_delay_ms);
    }
    if let Some(upload_age_ms) = change.upload_age_ms {
        settings.upload_age_ms = Some(upload_age_ms);
    }
    if let Some(untagged) = &change.untagged {
        settings.untagged = Some(untagged.clone());
    }
    if let Some(collection_paused) = change.collection_paused {
        settings.collection_paused = collection_paused;
    }
    transaction.put(&keys::settings(), &settings);
    Ok(done())
}

/// Raises the level, if every member that is still there can apply it.
pub(super) fn raise_feature_level<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    raise: &RaiseFeatureLevel,
) -> Result<Response, Fault> {
    let mut settings = transaction.row(&keys::settings())?.unwrap_or_default();
    if raise.level < settings.feature_level {
        return Ok(refuse(Reason::FeatureLevel));
    }
    let members = read::members(transaction)?;
    let can_apply = |member: &Member| member.removed || member.feature_level_max >= raise.level;
    if !members.iter().all(|(_, member)| can_apply(member)) {
        return Ok(refuse(Reason::FeatureLevel));
    }
    settings.feature_level = raise.level;
    transaction.put(&keys::settings(), &settings);
    Ok(done())
}
