//! The architecture invariants, as sentences about one step: how it was, the command, how it is.
//! They know nothing of the model's predictions.

use std::collections::BTreeSet;

use proptest::prelude::{TestCaseError, prop_assert, prop_assert_eq};
use roadstead_proto::rpc::metadata::Command;
use roadstead_proto::rpc::metadata::command::Action;

use crate::facts::{Facts, Life};

/// Watches the steps of one history.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Keys that were forgotten.
    gone: BTreeSet<String>,
}

impl Watch {
    pub(crate) fn step(
        &mut self,
        before: &Facts,
        command: &Command,
        after: &Facts,
    ) -> Result<(), TestCaseError> {
        let action = command.action.as_ref().expect("an action");
        time_never_goes_back(before, after)?;
        no_blob_record_names_what_is_not_live(after)?;
        links_go_only_without_reference_and_hold(before, action, after)?;
        manifests_expire_only_without_tag_subject_and_visitor(before, action, after)?;
        uploads_expire_only_after_standing_still(before, action, after)?;
        a_claimer_writes_on_only_where_the_owner_let_go(before, after)?;
        acknowledged_offsets_never_go_back(before, after)?;
        self.keys_move_forward_only(before, action, after)
    }

    /// An object key has one writer, once: `Uploading`, `Live`, `Reclaimed`, gone.
    fn keys_move_forward_only(
        &mut self,
        before: &Facts,
        action: &Action,
        after: &Facts,
    ) -> Result<(), TestCaseError> {
        for (key, is) in &after.objects {
            prop_assert!(!self.gone.contains(key), "{key} came back");
            let was = before.objects.get(key);
            let is_forward = match (was, is) {
                (None, Life::Uploading(_)) => true,
                (Some(Life::Uploading(_)), Life::Live(_)) => {
                    matches!(action, Action::CommitUpload(_))
                }
                (Some(Life::Uploading(_) | Life::Live(_)), Life::Reclaimed { .. }) => true,
                (was, is) => was == Some(is),
            };
            prop_assert!(is_forward, "{key} went from {was:?} to {is:?}");
        }
        for (key, was) in &before.objects {
            if !after.objects.contains_key(key) {
                let is_forgotten =
                    matches!((was, action), (Life::Reclaimed { .. }, Action::Forget(_)));
                prop_assert!(is_forgotten, "{key} was {was:?} and is gone");
                self.gone.insert(key.clone());
            }
        }
        Ok(())
    }
}

fn time_never_goes_back(before: &Facts, after: &Facts) -> Result<(), TestCaseError> {
    prop_assert!(before.now_ms <= after.now_ms);
    Ok(())
}

/// Written before linked, unlinked before deleted.
fn no_blob_record_names_what_is_not_live(after: &Facts) -> Result<(), TestCaseError> {
    for (digest, blob) in &after.blobs {
        let life = after.objects.get(&blob.object_key);
        prop_assert_eq!(
            life,
            Some(&Life::Live(digest.clone())),
            "object of {}",
            digest
        );
    }
    Ok(())
}

/// What a client has seen can be used for at least one grace, whatever the collector thinks.
fn links_go_only_without_reference_and_hold(
    before: &Facts,
    action: &Action,
    after: &Facts,
) -> Result<(), TestCaseError> {
    for (link, hold) in &before.links {
        if after.links.contains_key(link) {
            continue;
        }
        let is_right = match action {
            Action::Condemn(_) => hold.is_some_and(|until| until <= after.now_ms),
            Action::DeleteBlob(_) => hold.is_some(),
            // Whoever deletes a whole repository asks nobody.
            Action::DeleteRepository(delete) => delete.repository == link.0,
            Action::ContinueDeletion(_) => before.doomed.contains(&link.0),
            _ => false,
        };
        prop_assert!(
            is_right,
            "{link:?} with hold {hold:?} went at {}",
            after.now_ms
        );
    }
    Ok(())
}

/// The collector takes nothing that somebody may still need: neither a tag nor a living subject
/// holds it, and its age is longer than what a client that saw it was promised.
fn manifests_expire_only_without_tag_subject_and_visitor(
    before: &Facts,
    action: &Action,
    after: &Facts,
) -> Result<(), TestCaseError> {
    let Action::ExpireManifests(_) = action else {
        return Ok(());
    };
    let settings = before.settings.clone().unwrap_or_default();
    let age_ms = settings.untagged.map_or(0, |untagged| untagged.age_ms);
    for (at, was) in &before.manifests {
        let is = after.manifests.get(at);
        if was.deleting || is.is_some_and(|is| !is.deleting) {
            continue;
        }
        prop_assert!(!before.doomed.contains(&at.0), "{at:?} goes otherwise");
        prop_assert!(
            !before
                .tags
                .iter()
                .any(|(tag, to)| tag.0 == at.0 && *to == at.1)
        );
        let subject = before.manifests.get(&(at.0.clone(), was.subject.clone()));
        prop_assert!(subject.is_none_or(|it| it.deleting), "{at:?} has a subject");
        let since_ms = was.unheld_since_ms.unwrap_or(u64::MAX);
        let unheld_ms = after.now_ms.saturating_sub(since_ms);
        let is_old = age_ms > 0 && unheld_ms >= age_ms && unheld_ms >= 2 * settings.grace_ms;
        prop_assert!(is_old, "{at:?} went after {unheld_ms} ms");
    }
    Ok(())
}

fn uploads_expire_only_after_standing_still(
    before: &Facts,
    action: &Action,
    after: &Facts,
) -> Result<(), TestCaseError> {
    let Action::ExpireUploads(_) = action else {
        return Ok(());
    };
    let settings = before.settings.clone().unwrap_or_default();
    let age_ms = settings.upload_age_ms.unwrap_or_default();
    for (id, was) in &before.uploads {
        let is_old = age_ms > 0 && after.now_ms - was.updated_at_ms >= age_ms;
        prop_assert!(is_old || after.uploads.contains_key(id), "{id} went early");
    }
    Ok(())
}

fn a_claimer_writes_on_only_where_the_owner_let_go(
    before: &Facts,
    after: &Facts,
) -> Result<(), TestCaseError> {
    for (id, was) in &before.uploads {
        let Some(is) = after.uploads.get(id) else {
            continue;
        };
        if is.epoch != was.epoch && is.object_key == was.object_key {
            prop_assert!(was.released, "{id} has two writers on {}", is.object_key);
        }
    }
    Ok(())
}

fn acknowledged_offsets_never_go_back(before: &Facts, after: &Facts) -> Result<(), TestCaseError> {
    for (id, was) in &before.uploads {
        if let Some(is) = after.uploads.get(id) {
            prop_assert!(is.offset >= was.offset, "{id} went back to {}", is.offset);
            // The bytes up to there are readable: of the former key, or of this one.
            prop_assert!(
                is.offset == 0 || !is.checkpoint.is_empty(),
                "{id} lost its bytes"
            );
        }
    }
    Ok(())
}
