# Dynamic configuration of the proxy besides the hub's routes: certificates would be here.
