//! What was found at one version.

use hashbrown::HashMap;

use super::base::Place;
use super::hits::Hits;
use crate::hashing::Hashing;
use crate::platform::sync::Mutex;

/// Most results that are kept.
const RESULTS: usize = 64;
/// Most bytes that results and their filters may have together.
const BYTES: usize = 4 << 20;

/// What was found at one version, the least recently used out.
#[derive(Default)]
pub(in crate::entries) struct Cache {
    results: Mutex<Results>,
    /// How this version stands to the indexes, once somebody asked.
    pub(super) place: Mutex<Option<Place>>,
}

#[derive(Default)]
struct Results {
    by_filter: HashMap<Box<[u8]>, Found, Hashing>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

struct Found {
    hits: Hits,
    used: u64,
}

impl Cache {
    /// What was found for `filter`.
    pub(super) fn get(&self, filter: &[u8]) -> Option<Hits> {
        let mut results = self.results.lock();
        results.clock += 1;
        let now = results.clock;
        let found = results.by_filter.get_mut(filter)?;
        found.used = now;
        Some(found.hits.clone())
    }

    /// Keeps what was found for `filter`.
    pub(super) fn put(&self, filter: &[u8], hits: &Hits) {
        let mut results = self.results.lock();
        let results = &mut *results;
        let bytes = bytes_of(filter, hits);
        if bytes > BYTES {
            return;
        }
        results.clock += 1;
        let found = Found { hits: hits.clone(), used: results.clock };
        results.bytes += bytes;
        if let Some(before) = results.by_filter.insert(filter.into(), found) {
            results.bytes -= bytes_of(filter, &before.hits);
        }
        while results.by_filter.len() > RESULTS || results.bytes > BYTES {
            let oldest = results.by_filter.iter().min_by_key(|(_, found)| found.used);
            let Some(filter) = oldest.map(|(filter, _)| filter.clone()) else { return };
            if let Some(out) = results.by_filter.remove(&filter) {
                results.bytes -= bytes_of(&filter, &out.hits);
            }
        }
    }
}

fn bytes_of(filter: &[u8], hits: &Hits) -> usize {
    filter.len() + hits.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(len: usize) -> Hits {
        Hits::of_slots(0..len as u32)
    }

    #[test]
    fn the_least_recently_used_result_goes_first() {
        let cache = Cache::default();
        let name = |n: usize| n.to_le_bytes();
        for n in 0..RESULTS {
            cache.put(&name(n), &hits(1 + n));
        }
        assert!(cache.get(&name(0)).is_some());
        cache.put(&name(RESULTS), &hits(7));
        assert!(cache.get(&name(1)).is_none());
        assert_eq!(cache.get(&name(0)).unwrap().len(), 1);
        assert_eq!(cache.get(&name(RESULTS)).unwrap().len(), 7);
    }

    #[test]
    fn results_take_bounded_memory() {
        let cache = Cache::default();
        let slots = |bytes: usize| hits(bytes / size_of::<u32>());
        let large = slots(BYTES / 2 - 8);
        for n in 0..4_u8 {
            cache.put(&[n], &large);
        }
        assert!(cache.get(&[1]).is_none());
        assert!(cache.get(&[2]).is_some() && cache.get(&[3]).is_some());
        cache.put(&[4], &slots(BYTES));
        assert!(cache.get(&[4]).is_none() && cache.get(&[3]).is_some());
    }

    #[test]
    fn filters_count_as_what_they_find_does() {
        let cache = Cache::default();
        let filter = |n: u8| vec![n; BYTES / 8];
        for n in 0..32 {
            cache.put(&filter(n), &hits(0));
        }
        assert_eq!((0..32).filter(|&n| cache.get(&filter(n)).is_some()).count(), 8);
        cache.put(&vec![0; BYTES + 1], &hits(0));
        assert!(cache.get(&vec![0; BYTES + 1]).is_none() && cache.get(&filter(31)).is_some());
    }
}
