;; Begins with 1 GiB.
(module
  (memory (export "memory") 16384)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32) (i32.const 16))
)
