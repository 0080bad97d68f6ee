//! What commands about the cluster itself do, naively.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{self as rpc, Response};
use roadstead_proto::rpc::state;

use crate::naive::{Naive, Node, no, outcome, yes};

impl Naive {
    pub(super) fn found(&mut self, found: &rpc::FoundCluster) -> Response {
        let settings = self.settings.get_or_insert_with(|| state::Settings {
            cluster_id: found.cluster_id.clone(),
            incarnation: 1,
            feature_level: found.feature_level,
            grace_ms: found.grace_ms,
            ..state::Settings::default()
        });
        if settings.cluster_id == found.cluster_id {
            yes()
        } else {
            no(Reason::IdentityMismatch)
        }
    }

    pub(super) fn settings(&mut self) -> &mut state::Settings {
        self.settings.as_mut().expect("a founded cluster")
    }

    pub(super) fn admit(&mut self, admit: &rpc::AdmitNode) -> Response {
        if admit.feature_level_max < self.settings().feature_level {
            return no(Reason::FeatureLevel);
        }
        let admitted = |node: u64| outcome(Outcome::Admitted(rpc::Admitted { node }));
        let mut known = self.nodes.iter();
        if let Some((id, node)) = known.find(|(_, node)| node.instance == admit.instance) {
            return if node.is_removed {
                no(Reason::IdentityMismatch)
            } else {
                admitted(*id)
            };
        }
        let mut members = self.nodes.values().filter(|node| !node.is_removed);
        if members.any(|node| node.address == admit.address) {
            return no(Reason::IdentityMismatch);
        }
        let id = self.nodes.keys().max().copied().unwrap_or(1).max(1) + 1;
        let node = Node {
            instance: admit.instance.clone(),
            address: admit.address.clone(),
            boot: 0,
            level_max: admit.feature_level_max,
            lowest: 0,
            is_removed: false,
        };
        self.nodes.insert(id, node);
        admitted(id)
    }

    pub(super) fn remove(&mut self, node: u64) -> Response {
        match self.nodes.get_mut(&node) {
            Some(node) => {
                node.is_removed = true;
                yes()
            }
            None => no(Reason::IdentityMismatch),
        }
    }

    pub(super) fn restore(&mut self, restore: &rpc::RestoreCluster) -> Response {
        let settings = self.settings();
        if settings.cluster_id != restore.cluster_id || restore.incarnation < settings.incarnation {
            return no(Reason::IdentityMismatch);
        }
        if restore.incarnation > settings.incarnation {
            if self.nodes.contains_key(&restore.node) {
                return no(Reason::IdentityMismatch);
            }
            let settings = self.settings();
            settings.incarnation = restore.incarnation;
            settings.marker_written = false;
            settings.verify_due = true;
            for node in self.nodes.values_mut() {
                node.is_removed = true;
            }
            let node = Node {
                instance: restore.instance.clone(),
                address: restore.address.clone(),
                boot: 0,
                level_max: 0,
                lowest: 0,
                is_removed: false,
            };
            self.nodes.insert(restore.node, node);
        }
        yes()
    }

    pub(super) fn start(&mut self, start: &rpc::StartNode) -> Response {
        if start.feature_level_max < self.settings().feature_level {
            return no(Reason::FeatureLevel);
        }
        let former = self.nodes.get(&start.node);
        if former.is_some_and(|node| node.is_removed || node.instance != start.instance) {
            return no(Reason::IdentityMismatch);
        }
        let boot = former.map_or(1, |node| node.boot + 1);
        let node = Node {
            instance: start.instance.clone(),
            address: start.address.clone(),
            boot,
            level_max: start.feature_level_max,
            lowest: 0,
            is_removed: false,
        };
        self.nodes.insert(start.node, node);
        outcome(Outcome::Started(rpc::Started { boot }))
    }

    pub(super) fn confirm(&mut self, confirm: &rpc::ConfirmMarker) -> Response {
        let settings = self.settings();
        let ours = (&settings.cluster_id, settings.incarnation);
        if ours != (&confirm.cluster_id, confirm.incarnation) {
            return no(Reason::IdentityMismatch);
        }
        settings.marker_written = true;
        yes()
    }

    pub(super) fn change(&mut self, change: &rpc::ChangeSettings) -> Response {
        let settings = self.settings();
        settings.grace_ms = change.grace_ms.unwrap_or(settings.grace_ms);
        settings.reading_delay_ms = change.reading_delay_ms.or(settings.reading_delay_ms);
        settings.upload_age_ms = change.upload_age_ms.or(settings.upload_age_ms);
        if change.untagged.is_some() {
            settings.untagged = change.untagged.clone();
        }
        if let Some(is_paused) = change.collection_paused {
            settings.collection_paused = is_paused;
        }
        yes()
    }

    pub(super) fn raise(&mut self, level: u64) -> Response {
        let mut members = self.nodes.values().filter(|node| !node.is_removed);
        let can_all = members.all(|node| node.level_max >= level);
        if !can_all || level < self.settings().feature_level {
            return no(Reason::FeatureLevel);
        }
        self.settings().feature_level = level;
        yes()
    }
}
