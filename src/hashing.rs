//! How entries and all that is known of them are found by hash.
//!
//! Two keys may have the same hash, so whoever searches by hash compares the
//! keys. With good hashes no test would notice if one did not: tests run the
//! tables with hashes that collide.

#[cfg(not(test))]
pub(crate) use foldhash::fast::RandomState as Hashing;

#[cfg(test)]
pub(crate) use weak::{Hashing, WEAK, weaken, with_weak};

#[cfg(test)]
mod weak {
    use std::cell::Cell;
    use std::hash::{BuildHasher, Hasher};

    use foldhash::fast::RandomState;

    /// What becomes of a hash.
    pub(crate) type Weaken = fn(u64) -> u64;

    /// Hashes that collide, each in another way; the first are as good as ever.
    pub(crate) const WEAK: [(&str, Weaken); 5] = [
        ("as it is", |hash| hash),
        ("three bits", |hash| (hash & 7) << 61 | (hash & 7) << 32 | (hash & 7)),
        ("constant", |_| 0x1234_5678_9abc_def0),
        ("constant low byte", |hash| hash & !0xff | 0x42),
        ("constant high byte", |hash| hash & !(0xff << 56)),
    ];

    thread_local! {
        static WEAKEN: Cell<Weaken> = const { Cell::new(|hash| hash) };
    }

    /// As in the library, but for what [`weaken`] makes of the hashes.
    #[derive(Clone)]
    pub(crate) struct Hashing {
        state: RandomState,
        weaken: Weaken,
    }

    impl Default for Hashing {
        fn default() -> Self {
            Self { state: RandomState::default(), weaken: WEAKEN.get() }
        }
    }

    pub(crate) struct Weakened {
        hasher: <RandomState as BuildHasher>::Hasher,
        weaken: Weaken,
    }

    impl BuildHasher for Hashing {
        type Hasher = Weakened;

        fn build_hasher(&self) -> Weakened {
            Weakened { hasher: self.state.build_hasher(), weaken: self.weaken }
        }
    }

    impl Hasher for Weakened {
        fn write(&mut self, bytes: &[u8]) {
            self.hasher.write(bytes);
        }

        fn finish(&self) -> u64 {
            (self.weaken)(self.hasher.finish())
        }
    }

    /// Has the hashes of all tables that this thread makes from now on be weak,
    /// until the result is dropped.
    pub(crate) fn weaken(weaken: Weaken) -> impl Drop {
        struct Guard(Weaken);
        impl Drop for Guard {
            fn drop(&mut self) {
                WEAKEN.set(self.0);
            }
        }
        Guard(WEAKEN.replace(weaken))
    }

    /// Runs a test with each of the hashes; says with which when it fails.
    pub(crate) fn with_weak(mut test: impl FnMut()) {
        struct Told(&'static str);
        impl Drop for Told {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    // Without the macro, which lints deny.
                    use std::io::Write;
                    let _ = writeln!(std::io::stderr(), "with hashes: {}", self.0);
                }
            }
        }
        for (name, hash) in WEAK {
            let _told = Told(name);
            let _weak = weaken(hash);
            test();
        }
    }

    #[test]
    fn weak_hashes_collide() {
        for (name, hash) in WEAK {
            let _weak = weaken(hash);
            let hashing = Hashing::default();
            let mut hashes: Vec<u64> = (0..5000_u32).map(|n| hashing.hash_one(n)).collect();
            hashes.sort_unstable();
            hashes.dedup();
            let expected = match name {
                "three bits" => 8,
                "constant" => 1,
                _ => 5000,
            };
            assert_eq!(hashes.len(), expected, "{name}");
            let bytes = |byte: usize| {
                let mut bytes: Vec<u8> = hashes.iter().map(|it| it.to_le_bytes()[byte]).collect();
                bytes.sort_unstable();
                bytes.dedup();
                bytes.len()
            };
            assert_eq!(bytes(0) == 1, name == "constant" || name == "constant low byte");
            assert_eq!(bytes(7) == 1, name == "constant" || name == "constant high byte");
        }
    }
}
