"""The environments that users choose: Docker images and the records of their builds."""
