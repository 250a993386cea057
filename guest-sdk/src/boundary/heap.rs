//! The plugin's heap: the allocator that Rust has for WebAssembly, begun in memory that the
//! plugin has from its start.
//!
//! Growing a memory is dear: the host changes the protection of its pages at the growth and once
//! more before the next run, and each change stops the host's other threads. What most runs
//! need fits into the arena, and their memory does not grow.

#![expect(unsafe_code, reason = "an allocator has no safe form")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ptr;

use dlmalloc::{Allocator, Dlmalloc};

/// Bytes of the arena; pages of it that a run does not touch cost nothing.
const ARENA_BYTES: usize = 256 << 10;
/// Bytes of a page of WebAssembly.
const PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Memory {
    is_arena_taken: Cell::new(false),
})));

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));

struct Heap(UnsafeCell<Dlmalloc<Memory>>);

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);

/// Where the allocator's memory comes from: first the arena, then growth.
struct Memory {
    is_arena_taken: Cell<bool>,
}

// SAFETY: a plugin has one thread; the component model gives it no other.
unsafe impl Sync for Heap {}
// SAFETY: as above; and only the allocator writes to it.
unsafe impl Sync for Arena {}

// SAFETY: each call is handed on as it is, and none is made within another: the allocator calls
// `Memory` alone, which allocates nothing.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).free(memory, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the impl says.
        unsafe { (*self.0.get()).realloc(memory, layout.size(), layout.align(), size) }
    }
}

// SAFETY: what `alloc` hands out is ours, zero, and handed out once.
unsafe impl Allocator for Memory {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= ARENA_BYTES && !self.is_arena_taken.replace(true) {
            return (ARENA.0.get().cast(), ARENA_BYTES, 0);
        }
        let pages = size.div_ceil(PAGE_BYTES);
        let before = core::arch::wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return (ptr::null_mut(), 0, 0);
        }
        let (begin, size) = (before * PAGE_BYTES, pages * PAGE_BYTES);
        // A pointer must not wrap at the end of the address space.
        let size = if begin.wrapping_add(size) == 0 {
            size - 16
        } else {
            size
        };
        (ptr::with_exposed_provenance_mut(begin), size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE_BYTES
    }
}
