"""Pillion's configuration for a measurement: everything that it does by default, the access log apart."""
import json


def config(place, *, routes=5, workers=1, memory="6GiB", redis=False, connections=15000):
    """proxy.yaml. Flow style is YAML too: JSON needs no library. `routes` counts all of them."""
    store = {"memory": {"size": memory, "max_object": "1MiB"} if memory else "off"}
    if redis:
        store["redis"] = {"url": f"redis://127.0.0.1:{place['REDIS']}/0", "timeout": "1s"}
    own = [
        {"name": "hit", "path": "/hit/{size}/{id}", "ttl": "1h", "key": "hit:{size}:{id}",
         "tags": ["hit:{id}", "hits"]},
        {"name": "slow", "path": "/slow/{ms}/{size}/{id}", "ttl": "1h", "key": "slow:{id}", "tags": ["slow"]},
        {"name": "items", "path": "/items/{id}", "ttl": "5m", "key": "item:{id}", "tags": ["item:{id}"]},
        {"name": "pass", "path": "/pass/**", "cache": False},
        {"name": "rest", "path": "/**", "cache": False},
    ]
    # As an application would have them: a few words, one parameter. The routes that are asked for come last.
    # Short, since a configuration is at most 1 MiB.
    others = [{"name": f"part{n}", "path": f"/api/v{n % 7}/part{n}/{{id}}", "ttl": "5m", "tags": [f"part{n}"]}
              for n in range(routes - len(own))]
    return json.dumps({
        "listeners": [{"address": f"127.0.0.1:{place['PORT']}"}],
        "admin": {"address": f"127.0.0.1:{place['ADMIN']}"},
        "upstreams": {"app": {"url": f"http://127.0.0.1:{place['ORIGIN']}",
                              "connections": {"max": 512, "idle": "60s"}}},
        "store": store,
        "workers": workers,
        "limits": {"connections": connections},
        "timeouts": {"idle": "1h"},
        "drain": {"delay": "0s", "timeout": "1s"},
        "log": {"access": "off"},
        "routes": others + own,
    }, separators=(", ", ": "))


def launch(binary, place, **settings):
    path = place["DIR"] + "/proxy.yaml"
    with open(path, "w") as file:
        file.write(config(place, **settings))
    return [binary, "serve", "--config", path]
