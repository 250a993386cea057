"""Runs a command; prints its wall and processor seconds and peak memory (KiB) as JSON.

    measure.py COMMAND [ARGUMENT ...]

The memory of a process that is smaller than this one cannot be seen.
"""
import json
import os
import sys
import time

begin = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begin
if status != 0:
    sys.exit(f'{sys.argv[1]} ended with status {status}')
print(json.dumps({
    'wall': wall,
    'cpu': usage.ru_utime + usage.ru_stime,
    'kib': usage.ru_maxrss,
}))
