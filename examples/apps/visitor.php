<?php
// A site in PHP, behind a proxy that asks Throughline: it shows whom it was told of. Nothing to install.
// Serve it as index.php, by php-fpm.

// The visitor ID and where it came from. Both are missing or empty when there is none.
$visitor = ($_SERVER['HTTP_X_THROUGHLINE_VISITOR'] ?? '') ?: null;
$source = ($_SERVER['HTTP_X_THROUGHLINE_SOURCE'] ?? '') ?: null;

$path = strtok($_SERVER['REQUEST_URI'], '?');

if ($path === '/seen') {
    // What reached the application, as JSON: the names are those that CGI makes of headers.
    header('Content-Type: application/json');
    echo json_encode([
        'method' => $_SERVER['REQUEST_METHOD'],
        'query' => $_SERVER['QUERY_STRING'],
        'received' => strlen(file_get_contents('php://input')),
        'headers' => array_filter($_SERVER, fn($name) => str_starts_with($name, 'HTTP_'), ARRAY_FILTER_USE_KEY),
    ]);
    exit;
}
if ($path === '/private') {
    // A 401 of the site's own: no proxy may take it for one of Throughline's.
    http_response_code(401);
    header('WWW-Authenticate: Basic realm="site"');
    exit;
}
header('Content-Type: text/html; charset=utf-8');
header('Set-Cookie: site=own; Path=/');
header('Cache-Control: public, max-age=60');
?>
<!doctype html>
<meta charset="utf-8"><title>A site in PHP</title>
<p>You are <b id="visitor"><?= htmlspecialchars($visitor ?? 'none') ?></b>, by <b id="source"><?= htmlspecialchars($source ?? 'none') ?></b>.
<p>You came from <b id="referrer"><?= htmlspecialchars($_SERVER['HTTP_REFERER'] ?? 'nowhere') ?></b>.
