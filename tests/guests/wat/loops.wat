;; A handler that never ends and never calls the host. The manifest is put in as in honest.wat.
(module
  (memory (export "memory") 64)
  (global $free (mut i32) (i32.const 0x200000))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32)
    (loop $for_ever (br $for_ever))
    (unreachable))
  ;; MANIFEST
)
