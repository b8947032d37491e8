//! Memory that there is not: what a caller's input needs in one piece is refused
//! with the error for it, and everything goes on when there is memory again.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

use acervo::error::{Code, Error};
use acervo::kv::{Batch, Kv};
use acervo::value::{Value, ValueError};
use common::Scratch;

thread_local! {
    /// The largest piece that this thread is given.
    static LARGEST: Cell<usize> = const { Cell::new(usize::MAX) };
    /// How many pieces it was refused.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// The system's, without what is large.
struct Short;

fn is_refused(size: usize) -> bool {
    let is_refused = LARGEST.try_with(|largest| size > largest.get()).unwrap_or(false);
    if is_refused {
        let _ = REFUSED.try_with(|refused| refused.set(refused.get() + 1));
    }
    is_refused
}

// SAFETY: everything is left to the system's allocator, or refused.
unsafe impl GlobalAlloc for Short {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if is_refused(layout.size()) { ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused(size) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Short = Short;

/// So long that it needs pieces that there are not.
const LONG: usize = 1 << 20;

/// Runs `work` for every largest piece from a little to all that it needs; with
/// too little it is to end with an error that `is_refusal`.
#[track_caller]
fn with_too_little<T, E>(work: impl Fn() -> Result<T, E>, is_refusal: impl Fn(&E) -> bool) -> T {
    let mut largest = 16 << 10;
    let mut times = 0;
    loop {
        LARGEST.set(largest);
        REFUSED.set(0);
        let done = work();
        LARGEST.set(usize::MAX);
        match done {
            // What can do with less may have been refused.
            Ok(done) => {
                assert!(times > 0, "it was never short of memory");
                return done;
            }
            Err(error) => {
                assert!(REFUSED.get() > 0 && is_refusal(&error));
                times += 1;
            }
        }
        largest += largest / 8;
        assert!(largest < 64 * LONG, "it never ends");
    }
}

#[track_caller]
fn value<T>(work: impl Fn() -> Result<T, ValueError>) -> T {
    with_too_little(work, |error| matches!(error, ValueError::OutOfMemory))
}

#[track_caller]
fn call<T, E: Into<Error> + Clone>(work: impl Fn() -> Result<T, E>) -> T {
    with_too_little(work, |error| {
        let error: Error = error.clone().into();
        (error.code, &*error.message) == (Code::Internal, "out of memory")
    })
}

#[test]
fn values_that_memory_does_not_suffice_for_are_refused() {
    let long = vec![b'x'; LONG];
    let string = value(|| Value::string(&long));
    assert_eq!(string.as_string(), Some(&long[..]));
    let small: Vec<Value> =
        (0..LONG / 8).map(|n| Value::string(&n.to_le_bytes()).unwrap()).collect();
    let array = value(|| Value::array(small.iter()));
    assert_eq!(array.len(), small.len());
    let map = value(|| Value::map([(&small[0], &string), (&small[1], &string)].into_iter()));
    assert_eq!(map.len(), 2);
    let copy = value(|| Value::try_from_canonical(array.as_bytes()));
    assert_eq!(copy, array);
    assert_eq!(value(|| Value::from_msgpack(array.as_bytes())), array);
}

#[test]
fn floats_that_grow_are_refused() {
    // An array of floats of 32 bits, which take 64.
    let mut narrow = vec![0xdd, 0, 2, 0, 0];
    (0..1 << 17).for_each(|_| narrow.extend([0xca, 0, 0, 0, 0]));
    assert_eq!(value(|| Value::from_msgpack(&narrow)).len(), 1 << 17);
    let text = format!("[{}1e9]", "1e9,".repeat(LONG / 8));
    let array = value(|| Value::from_json(text.as_bytes()));
    assert_eq!(array.len(), LONG / 8 + 1);
}

#[test]
fn json_is_refused_and_not_written() {
    let text =
        format!("{{\"a\":[{}\"\"],\"b\":\"{}\"}}", "\"x\",".repeat(LONG / 8), "y".repeat(LONG));
    let read = value(|| Value::from_json(text.as_bytes()));
    assert_eq!(value(|| read.to_json()), text);
    let escaped = Value::string(&vec![1; LONG]).unwrap();
    assert_eq!(value(|| escaped.to_json()).len(), 6 * LONG + 2);
    let text = escaped.to_json().unwrap();
    assert_eq!(value(|| Value::from_json(text.as_bytes())), escaped);
    let numbers = format!("[{}0]", "-1234567,".repeat(LONG / 8));
    let numbers = Value::from_json(numbers.as_bytes()).unwrap();
    assert_eq!(Value::from_json(value(|| numbers.to_json()).as_bytes()).unwrap(), numbers);
}

/// What concerns one value, in the registry and in the store.
fn writes(kv: &Kv) {
    let (old, new) =
        (Value::string(&vec![b'o'; LONG]).unwrap(), Value::string(&vec![b'n'; LONG]).unwrap());
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let limit = kv.value_limit();
    let get = |key: &[u8]| kv.get(key).unwrap().map(|it| it.as_bytes().to_vec());

    kv.put(b"other", b"\x01", None).unwrap();
    call(|| {
        assert_eq!(get(b"put"), None);
        kv.put(b"put", old, None)
    });
    assert_eq!(get(b"put").as_deref(), Some(old));
    call(|| kv.put(b"for a while", old, Some(1_000_000)));

    assert!(call(|| kv.cas(b"put", Some(old), new)));
    assert_eq!(get(b"put").as_deref(), Some(new));
    let seen = kv.get(b"put").unwrap();
    assert!(call(|| kv.replace(b"put", seen.as_ref(), Some(old))));
    assert_eq!(get(b"put").as_deref(), Some(old));
    assert!(call(|| kv.cas_delete(b"put", old)));
    assert_eq!(get(b"put"), None);

    let batch = std::cell::RefCell::new(Batch::new());
    batch.borrow_mut().put(b"small", b"\x01", None, limit).unwrap();
    call(|| batch.borrow_mut().put(b"large", old, None, limit));
    assert_eq!(batch.borrow().len(), 2);
    call(|| {
        assert_eq!((get(b"small"), get(b"large")), (None, None));
        kv.commit(&batch.borrow())
    });
    assert_eq!(get(b"large").as_deref(), Some(old));
    assert_eq!(get(b"small").as_deref(), Some(&[1][..]));
    assert_eq!(get(b"other").as_deref(), Some(&[1][..]));
}

#[test]
fn writes_that_memory_does_not_suffice_for_change_nothing() {
    let scratch = Scratch::new();
    let database = scratch.open();
    writes(&database.registry());
    writes(&database.store(b"agent").unwrap());
    database.flush().unwrap();
}
