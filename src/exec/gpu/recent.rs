//! A bounded cache: what was asked for last is kept, what was unused for longest goes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More kernels than any program keeps in use at the same time; beyond it the one unused for longest is compiled again.
const MAX_ENTRIES: usize = 512;

/// Values by key, the ones used last.
#[derive(Debug)]
pub(super) struct Recent<K, V>(Mutex<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    by_key: HashMap<K, (Arc<V>, u64)>,
    clock: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Entries { by_key: HashMap::new(), clock: 0 }))
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn find(&self, key: &K) -> Option<Arc<V>> {
        let mut entries = self.lock();
        entries.clock += 1;
        let now = entries.clock;
        let (value, used) = entries.by_key.get_mut(key)?;
        *used = now;
        Some(Arc::clone(value))
    }

    pub(super) fn insert(&self, key: K, value: Arc<V>) {
        let mut entries = self.lock();
        if entries.by_key.len() >= MAX_ENTRIES {
            let oldest = entries.by_key.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                entries.by_key.remove(&key);
            }
        }
        entries.clock += 1;
        let now = entries.clock;
        entries.by_key.insert(key, (value, now));
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_longest_goes() {
        let recent = Recent::default();
        for key in 0..MAX_ENTRIES {
            recent.insert(key, Arc::new(key));
        }
        assert_eq!(recent.find(&0).as_deref(), Some(&0));
        recent.insert(MAX_ENTRIES, Arc::new(MAX_ENTRIES));
        assert_eq!(recent.find(&1), None);
        for kept in [0, 2, MAX_ENTRIES] {
            assert_eq!(recent.find(&kept).as_deref(), Some(&kept));
        }
    }
}
