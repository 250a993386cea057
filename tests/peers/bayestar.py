"""`bayestar-localize-coincs` with a clock around its sky-map call.

    bayestar.py CALL.json [ARGUMENT ...]

writes the wall and processor seconds of the call to CALL.json.
"""
import json
import sys
import time

import ligo.skymap.bayestar as bayestar
from ligo.skymap.tool import bayestar_localize_coincs as tool

localize = bayestar.localize


def timed(*args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    result = localize(*args, **kwargs)
    call = {'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu}
    with open(sys.argv[1], 'w') as file:
        json.dump(call, file)
    return result


bayestar.localize = timed
tool.main(sys.argv[2:])
