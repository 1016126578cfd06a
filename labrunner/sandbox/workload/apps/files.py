"""Files that images bring besides their base: default pages, configuration, home directories."""

from __future__ import annotations

from labrunner.sandbox.workload.filesystem.node import BUILD_TIME, Directory, Node, Symlink
from labrunner.sandbox.workload.images import Image

_WELCOME = """<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto;
font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>

<p>For online documentation and support please refer to
<a href="http://nginx.org/">nginx.org</a>.<br/>
Commercial support is available at
<a href="http://nginx.com/">nginx.com</a>.</p>

<p><em>Thank you for using nginx.</em></p>
</body>
</html>
"""
_50X = (
    "<!DOCTYPE html>\n<html>\n<head>\n<title>Error</title>\n</head>\n<body>\n<h1>An error occurred.</h1>\n</body>\n"
    "</html>\n"
)
_NGINX_CONF = """
user  nginx;
worker_processes  auto;

error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;


events {
    worker_connections  1024;
}


http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';

    access_log  /var/log/nginx/access.log  main;

    sendfile        on;
    #tcp_nopush     on;

    keepalive_timeout  65;

    #gzip  on;

    include /etc/nginx/conf.d/*.conf;
}
"""
_DEFAULT_CONF = """server {
    listen       %d;
    server_name  localhost;

    #access_log  /var/log/nginx/host.access.log  main;

    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }

    #error_page  404              /404.html;

    # redirect server error pages to the static page /50x.html
    #
    error_page   500 502 503 504  /50x.html;
    location = /50x.html {
        root   /usr/share/nginx/html;
    }
}
"""
_MIME = """
types {
    text/html                             html htm shtml;
    text/css                              css;
    text/xml                              xml;
    image/gif                             gif;
    image/jpeg                            jpeg jpg;
    application/javascript                js;
    text/plain                            txt;
    image/png                             png;
    image/svg+xml                         svg svgz;
    application/json                      json;
}
"""


def files_of(image: Image, family: str) -> dict[str, str | bytes | Node]:
    """Path below the root -> content."""
    name = image.repository.rpartition("/")[2]
    if name in ("nginx", "nginx-unprivileged"):
        port = image.ports[0] if image.ports else 80
        return {
            "usr/share/nginx/html/index.html": _WELCOME,
            "usr/share/nginx/html/50x.html": _50X,
            "etc/nginx/nginx.conf": _NGINX_CONF,
            "etc/nginx/mime.types": _MIME,
            "etc/nginx/conf.d/default.conf": _DEFAULT_CONF % port,
            "var/log/nginx/access.log": Symlink("/dev/stdout", BUILD_TIME),
            "var/log/nginx/error.log": Symlink("/dev/stderr", BUILD_TIME),
            "docker-entrypoint.d": Directory(None, mtime=BUILD_TIME),
        }
    if name == "httpd":
        return {
            "usr/local/apache2/htdocs/index.html": "<html><body><h1>It works!</h1></body></html>\n",
            "usr/local/apache2/conf/httpd.conf": 'ServerRoot "/usr/local/apache2"\nListen 80\n'
            'DocumentRoot "/usr/local/apache2/htdocs"\n',
            "usr/local/apache2/logs": Directory(None, mtime=BUILD_TIME),
        }
    if name == "postgres":
        return {"var/lib/postgresql/data": Directory(None, 0o777, 999, 999, BUILD_TIME),
                "docker-entrypoint-initdb.d": Directory(None, mtime=BUILD_TIME)}  # fmt: skip
    return {}
