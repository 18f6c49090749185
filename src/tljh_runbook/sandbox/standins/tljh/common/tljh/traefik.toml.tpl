# Static configuration of the proxy; what may change at run time is in rules/.

[global]
checkNewVersion = false
sendAnonymousUsage = false

[api]

[log]
level = "INFO"

[entryPoints.http]
address = "{{ http.address }}:{{ http.port }}"

[entryPoints.auth_api]
address = "{{ traefik_api.ip }}:{{ traefik_api.port }}"

[providers]
providersThrottleDuration = "0s"

[providers.file]
directory = {{ rules | tojson }}
watch = true
