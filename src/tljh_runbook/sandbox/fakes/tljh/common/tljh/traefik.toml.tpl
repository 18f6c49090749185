# Static configuration of the proxy; what may change at run time is in rules/.

[global]
checkNewVersion = false
sendAnonymousUsage = false

[api]

[log]
level = "INFO"

[entryPoints.http]
address = "{{ http.address }}:{{ http.port }}"
{%- if https.enabled %}

[entryPoints.http.http.redirections.entryPoint]
to = "https"
scheme = "https"

[entryPoints.https]
address = "{{ https.address }}:{{ https.port }}"

[entryPoints.https.http.tls]
options = "default"
{%- endif %}

[entryPoints.auth_api]
address = "{{ traefik_api.ip }}:{{ traefik_api.port }}"

[providers]
providersThrottleDuration = "0s"

[providers.file]
directory = {{ rules | tojson }}
watch = true
