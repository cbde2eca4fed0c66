@echo off
rem Fetches the published weights into models\: download_weights.bat --version v15 (--help lists the options).
setlocal
set "PROJECT=%~dp0"
set "PYTHONPATH=%PROJECT%;%PYTHONPATH%"
if exist "%PROJECT%.venv\Scripts\python.exe" (
    "%PROJECT%.venv\Scripts\python.exe" -m scripts.download_weights %*
) else (
    python -m scripts.download_weights %*
)
exit /b %ERRORLEVEL%
