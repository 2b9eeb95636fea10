"""What is measured: how each server is configured and started, and what it needs to be there."""
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
REDIS_SERVER = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--maxmemory", "8gb", "--daemonize", "no"]


def which(name):
    return shutil.which(name, path=PATH)


def _fill(template, values):
    with open(os.path.join(PEERS, template)) as file:
        return re.sub(r"@(\w+)@", lambda hole: str(values[hole.group(1)]), file.read())


def _write(place, name, text):
    path = os.path.join(place["DIR"], name)
    with open(path, "w") as file:
        file.write(text)
    return path


def _nginx(place, template="nginx.conf", **more):
    values = {**place, "USER": "user root;" if os.geteuid() == 0 else "", **more}
    return [which("nginx"), "-p", place["DIR"], "-e", place["DIR"] + "/error.log", "-c",
            _write(place, "nginx.conf", _fill(template, values))]


def _nginx_modules():
    told = subprocess.run([which("nginx") or "nginx", "-V"], capture_output=True, text=True).stderr
    found = re.search(r"--modules-path=(\S+)", told)
    return found.group(1) if found else ""


def haproxy(place, cache_mb=3000):
    text = _fill("haproxy.cfg", {**place, "CACHE_MB": cache_mb})
    return [which("haproxy"), "-db", "-f", _write(place, "haproxy.cfg", text)]


def varnish(place):
    return [which("varnishd"), "-F", "-a", f"127.0.0.1:{place['PORT']}", "-f",
            _write(place, "varnish.vcl", _fill("varnish.vcl", place)), "-s", "malloc,4G", "-n", place["DIR"] + "/work",
            "-t", "3600", "-p", "timeout_idle=600", "-p", "thread_pools=1", "-p", "thread_pool_min=100",
            "-p", "thread_pool_max=1000", "-p", "backend_idle_timeout=600"]


def squid(place):
    return [which("squid"), "-N", "-n", f"bench{place['PORT']}", "-f",
            _write(place, "squid.conf", _fill("squid.conf", place))]


def trafficserver(place):
    """It wants a folder like an installation of its own, and its storage made beforehand."""
    base = place["DIR"]
    for folder in ("etc", "run", "log", "cache"):
        os.mkdir(os.path.join(base, folder))
    _write(place, "etc/records.config", _fill("trafficserver.config", place))
    _write(place, "etc/storage.config", f"{base}/cache 4G\n")
    _write(place, "etc/remap.config", f"map / http://127.0.0.1:{place['ORIGIN']}/\n")
    _write(place, "etc/ip_allow.yaml", "ip_allow: [{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}]\n")
    for name in ("plugin.config", "hosting.config", "cache.config", "parent.config", "volume.config", "splitdns.config",
                 "ssl_multicert.config", "socks.config"):
        _write(place, f"etc/{name}", "")
    folders = {"prefix": base, "exec_prefix": base, "bindir": base, "sbindir": base, "sysconfdir": f"{base}/etc",
               "datadir": base, "includedir": base, "libdir": base, "libexecdir": base, "localstatedir": base,
               "runtimedir": f"{base}/run", "logdir": f"{base}/log", "cachedir": f"{base}/cache"}
    root = _write(place, "runroot.yaml", "".join(f"{name}: {path}\n" for name, path in folders.items()))
    return ["env", f"TS_RUNROOT={root}", which("traffic_server")]


class Peer:
    """`launch(place)` writes configuration into place['DIR'] and returns the command; place also has PORT, ORIGIN and,
    where `redis` is set, REDIS."""

    def __init__(self, title, binary, package, launch, redis=False, also=None):
        self.title, self.binary, self.package, self.launch, self.redis = title, binary, package, launch, redis
        self._also = also

    def missing(self):
        """What keeps it from being measured, in words; empty where nothing does."""
        if not which(self.binary):
            return f"{self.binary} is not installed (apt-get install {self.package})"
        if self.redis and not which("redis-server"):
            return "redis-server is not installed (apt-get install redis-server)"
        if self._also and not self._also():
            return f"its modules are not installed (apt-get install {self.package})"
        return ""


def _has_lua():
    return (os.path.exists(os.path.join(_nginx_modules(), "ngx_http_lua_module.so"))
            and os.path.exists("/usr/share/lua/5.1/nginx/redis.lua"))


ALL = {
    "haproxy": Peer("HAProxy", "haproxy", "haproxy", haproxy),
    "nginx": Peer("nginx", "nginx", "nginx-light", lambda place: _nginx(place, SENDFILE="off")),
    "nginx-sendfile": Peer("nginx, sendfile", "nginx", "nginx-light", lambda place: _nginx(place, SENDFILE="on")),
    "varnish": Peer("Varnish", "varnishd", "varnish", varnish),
    "trafficserver": Peer("Traffic Server", "traffic_server", "trafficserver", trafficserver),
    "squid": Peer("Squid", "squid", "squid", squid),
    "nginx-lua-redis": Peer("nginx + Lua", "nginx", "nginx-light libnginx-mod-http-lua lua-nginx-redis",
                            lambda place: _nginx(place, "nginx_lua_redis.conf", MODULES=_nginx_modules()),
                            redis=True, also=_has_lua),
}


def versions():
    """Of what is installed, as each says it."""
    said = {}
    for name, command in {"HAProxy": "haproxy -v", "nginx": "nginx -v", "Varnish": "varnishd -V", "Squid": "squid -v",
                          "Traffic Server": "traffic_server -V",
                          "Redis": "redis-server --version"}.items():
        program, option = command.split()
        if which(program):
            ran = subprocess.run([which(program), option], capture_output=True, text=True)
            said[name] = (ran.stdout + ran.stderr).strip().splitlines()[0]
    return said
