-- A shop of about 100,000 rows, the same on every machine.
DROP DATABASE IF EXISTS shop;
CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
SET SESSION cte_max_recursion_depth = 100000;

CREATE TABLE customers (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(60) NOT NULL,
    email VARCHAR(120) NOT NULL UNIQUE,
    country CHAR(2) NOT NULL,
    notes TEXT COMMENT 'what support wrote down: must not leave MySQL',
    created_at DATETIME NOT NULL
) COMMENT 'people who bought something';
INSERT INTO customers
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
SELECT i, CONCAT(ELT(1 + i % 6, 'Ada', 'Bela', 'Chen', 'Dora', 'Emil', 'Fay'), ' ', ELT(1 + i % 7, 'Adler', 'Brook', 'Clay', 'Dunn', 'Eko', 'Finch', 'Gold')),
       CONCAT('customer', i, '@', ELT(1 + i % 3, 'example.com', 'example.org', 'example.net')),
       ELT(1 + i % 5, 'DE', 'FR', 'NL', 'SE', 'PL'), IF(i % 4 = 0, 'called twice', NULL), '2024-01-01' + INTERVAL i HOUR
FROM n;

CREATE TABLE products (
    sku VARCHAR(16) NOT NULL PRIMARY KEY,
    title VARCHAR(80) NOT NULL,
    price DECIMAL(8, 2) NOT NULL,
    tags SET('new', 'sale', 'eco') NOT NULL
);
INSERT INTO products
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
SELECT CONCAT('SKU-', LPAD(i, 5, '0')), CONCAT('Product ', i), 1 + i * 0.37, ELT(1 + i % 4, '', 'new', 'sale,eco', 'eco') FROM n;

CREATE TABLE orders (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    customer_id INT UNSIGNED NOT NULL,
    status ENUM('new', 'paid', 'sent', 'test') NOT NULL,
    total DECIMAL(10, 2) NOT NULL,
    ordered_at DATETIME(3) NOT NULL,
    KEY (customer_id)
);
INSERT INTO orders
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
SELECT i, 1 + (i * 7919) % 10000, ELT(1 + (i % 20 = 0) * 3 + (i % 20 <> 0) * (i % 3), 'new', 'paid', 'sent', 'test'),
       5 + (i % 997) * 1.13, '2025-01-01' + INTERVAL i * 613 SECOND
FROM n;

CREATE TABLE order_items (
    order_id BIGINT UNSIGNED NOT NULL,
    line TINYINT UNSIGNED NOT NULL,
    sku VARCHAR(16) NOT NULL,
    quantity SMALLINT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO order_items
WITH RECURSIVE l (line) AS (SELECT 1 UNION ALL SELECT line + 1 FROM l WHERE line < 3)
SELECT id, line, CONCAT('SKU-', LPAD(1 + (id * line) % 500, 5, '0')), 1 + (id + line) % 4 FROM orders JOIN l WHERE line <= 1 + id % 2;
