;; Answers 1 where a former run's mark is in memory that it has just got, in a global, or in a
;; table, else 0; then leaves marks everywhere. The manifest is put in as in honest.wat.
(module
  (memory (export "memory") 64 256)
  (table $table 64 funcref)
  (global $mark (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 0x200000))
  (elem declare func $describe)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func $describe (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32)
    (local $at i32)
    (local $found i32)
    (local.set $found (global.get $mark))
    (global.set $mark (i32.const 1))
    (if (i32.eqz (ref.is_null (table.get $table (i32.const 7))))
      (then (local.set $found (i32.const 1))))
    (table.set $table (i32.const 7) (ref.func $describe))
    ;; Half of it was there at the start, half is grown.
    (drop (memory.grow (i32.const 64)))
    (local.set $at (i32.const 0x300000))
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
        (then (local.set $found (i32.const 1))))
      (i64.store (local.get $at) (i64.const 0x5a5a5a5a5a5a5a5a))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 0x800000))))
    ;; ok(some([digit])): the tags are bytes at 32 and 40, the list is (44, 48).
    (i32.store (i32.const 40) (i32.const 1))
    (i32.store (i32.const 44) (i32.const 64))
    (i32.store (i32.const 48) (i32.const 1))
    (i32.store8 (i32.const 64) (i32.add (i32.const 48) (local.get $found)))
    (i32.const 32))
  ;; MANIFEST
)
