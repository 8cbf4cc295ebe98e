use std::sync::{Mutex, PoisonError};

/// Call `work` on every piece of at most `piece` items, on up to `threads` threads.
///
/// Pieces depend on the items alone and each is worked on by one thread, so that what becomes of an item never depends on how many
/// threads there are.
pub(crate) fn for_each_piece<T: Send>(
    threads: usize,
    items: &mut [T],
    piece: usize,
    work: impl Fn(&mut [T]) + Sync,
) {
    let threads = threads.min(items.len().div_ceil(piece));
    if threads <= 1 {
        items.chunks_mut(piece).for_each(work);
        return;
    }
    let queue = Mutex::new(items.chunks_mut(piece));
    // A poisoned queue is intact: a panic in `work` happens while nobody holds it, and is passed on by the scope.
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_on = || {
        while let Some(items) = next() {
            work(items);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Should the system give no thread, those there are do the work, if need be this one alone.
            if std::thread::Builder::new().spawn_scoped(scope, work_on).is_err() {
                break;
            }
        }
        work_on();
    });
}

/// `work(0), …, work(count − 1)`, computed on up to `threads` threads, in this order.
pub(crate) fn map<R: Send>(threads: usize, count: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let mut slots: Vec<(usize, Option<R>)> = (0..count).map(|unit| (unit, None)).collect();
    for_each_piece(threads, &mut slots, 1, |slots| {
        for (unit, result) in slots {
            *result = Some(work(*unit));
        }
    });
    slots.into_iter().filter_map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_whatever_the_threads() {
        for threads in [0, 1, 2, 3, 50] {
            let mut items = vec![0; 23];
            for_each_piece(threads, &mut items, 4, |piece| piece.iter_mut().for_each(|i| *i += piece_mark()));
            assert_eq!(items, vec![1; 23]);
            assert_eq!(map(threads, 7, |unit| 3 * unit), [0, 3, 6, 9, 12, 15, 18]);
            assert!(map(threads, 0, |unit| unit).is_empty());
        }
    }

    fn piece_mark() -> i32 {
        1
    }
}
