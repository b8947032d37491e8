//! Where keys live: the registry's one table, the store's table per namespace.
//!
//! A namespace has a table of its own, so that listing or clearing one costs
//! what that namespace costs, not the database.

use std::sync::Arc;

use hashbrown::HashMap;

use super::key;
use super::table::{Table, Usage};
use crate::platform::sync::RwLock;
use crate::value::Value;

/// The registry is hammered by all threads at once.
const REGISTRY_SHARDS: usize = 64;
/// A namespace mostly belongs to one script, and there may be thousands.
const NAMESPACE_SHARDS: usize = 4;

/// The keys of one ident, or those without one.
pub(super) struct Namespace {
    /// `ident:` as it stands before the keys in the file, or nothing.
    pub(super) prefix: Box<[u8]>,
    pub(super) table: Table,
}

/// All that is in memory.
pub(super) struct Spaces {
    pub(super) registry: Table,
    /// The registry as the file has it, while the one above is memory only.
    pub(super) shelved_registry: Table,
    store: RwLock<HashMap<Box<[u8]>, Arc<Namespace>, foldhash::fast::RandomState>>,
}

impl Spaces {
    pub(super) fn new() -> Self {
        Self {
            registry: Table::new(REGISTRY_SHARDS),
            shelved_registry: Table::new(1),
            store: RwLock::default(),
        }
    }

    /// The namespace of `prefix` (escaped, with its separator), made if it is
    /// not there yet.
    pub(super) fn namespace(&self, prefix: &[u8]) -> Arc<Namespace> {
        if let Some(namespace) = self.find(prefix) {
            return namespace;
        }
        let mut store = self.store.write();
        let fresh = || {
            let table = Table::new(NAMESPACE_SHARDS);
            Arc::new(Namespace { prefix: prefix.into(), table })
        };
        Arc::clone(store.entry(prefix.into()).or_insert_with(fresh))
    }

    /// The namespace of `prefix`, if it exists.
    pub(super) fn find(&self, prefix: &[u8]) -> Option<Arc<Namespace>> {
        self.store.read().get(prefix).cloned()
    }

    /// The namespaces that may hold names that start with `prefix`, each with
    /// what their keys must start with.
    pub(super) fn reaching(&self, prefix: &[u8]) -> Vec<(Arc<Namespace>, Box<[u8]>)> {
        let (inside, rest) = key::split(prefix);
        if !inside.is_empty() {
            return self.find(inside).map(|found| (found, rest.into())).into_iter().collect();
        }
        let store = self.store.read();
        store
            .values()
            .filter(|namespace| namespace.prefix.is_empty() || namespace.prefix.starts_with(prefix))
            .map(|namespace| {
                let rest = if namespace.prefix.is_empty() { prefix } else { &[] };
                (Arc::clone(namespace), rest.into())
            })
            .collect()
    }

    /// Forgets namespaces that are empty and in nobody's hands.
    pub(super) fn drop_empty_namespaces(&self) {
        let unused = |namespace: &Arc<Namespace>| {
            Arc::strong_count(namespace) == 1 && namespace.table.usage().keys == 0
        };
        // Readers look namespaces up all the time: the lock that keeps them
        // out is taken only if there is something to forget.
        if self.store.read().values().any(unused) {
            self.store.write().retain(|_, namespace| !unused(namespace));
        }
    }

    /// Frees everything; handles may still have their namespaces.
    pub(super) fn clear(&self) {
        self.registry.clear();
        self.shelved_registry.clear();
        for (_, namespace) in self.store.write().drain() {
            namespace.table.clear();
        }
    }

    /// Every namespace.
    pub(super) fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.store.read().values().cloned().collect()
    }

    /// What the store holds.
    pub(super) fn store_usage(&self) -> Usage {
        self.namespaces().iter().fold(Usage::default(), |sum, namespace| {
            let usage = namespace.table.usage();
            Usage {
                keys: sum.keys + usage.keys,
                bytes: sum.bytes + usage.bytes,
                waiting: sum.waiting + usage.waiting,
            }
        })
    }
}

/// Collects the names of the cells that `namespace` shows under `prefix`.
pub(super) fn collect_names(
    namespace: &Namespace,
    prefix: &[u8],
    with_ident: bool,
    names: &mut Vec<Box<[u8]>>,
) {
    let ident: &[u8] = if with_ident { &namespace.prefix } else { &[] };
    namespace.table.scan(prefix, |cell: &Value| {
        // The raw key "ident:" is no key of the ident.
        if !with_ident && cell.key().is_empty() {
            return;
        }
        names.push([ident, cell.key()].concat().into_boxed_slice());
    });
}
