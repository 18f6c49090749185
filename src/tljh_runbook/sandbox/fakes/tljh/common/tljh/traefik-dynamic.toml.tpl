# Dynamic configuration of the proxy besides the hub's routes: certificates would be here.
{%- if https.enabled and https.tls.cert %}

[tls.stores.default.defaultCertificate]
certFile = {{ https.tls.cert | tojson }}
keyFile = {{ https.tls.key | tojson }}
{%- endif %}
