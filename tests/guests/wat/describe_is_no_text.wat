;; Describes itself in bytes that are no UTF-8.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "describe") (result i32) (i32.const 0))
  (func (export "handle") (param i32) (result i32) (i32.const 16))
  (data (i32.const 0) "\20\00\00\00\04\00\00\00")
  (data (i32.const 32) "\ff\fe\c0\80")
)
