-- Runs once, when the cluster is made and before the first migration, which keeps the role as it finds it.
\set password `cat /run/secrets/postgres_app_password`
CREATE ROLE mini_chat_app LOGIN NOINHERIT PASSWORD :'password';
