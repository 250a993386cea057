;; A component that wants files, and an interface that nobody has.
(component
  (import "wasi:filesystem/preopens@0.2.6" (instance))
  (import "gwasp:plugin/shell@0.1.0" (instance))
)
