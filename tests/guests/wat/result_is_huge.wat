;; Answers with 32 MiB. The manifest is put in as in honest.wat.
(module
  (memory (export "memory") 640)
  (global $free (mut i32) (i32.const 0x200000))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32)
    (i32.store (i32.const 40) (i32.const 1))
    (i32.store (i32.const 44) (i32.const 0x300000))
    (i32.store (i32.const 48) (i32.const 0x2000000))
    (i32.const 32))
  ;; MANIFEST
)
