"""Copies what lies below a prefix of an S3 bucket into a folder, and prints the keys.

    s3.py download BUCKET PREFIX FOLDER

AWS_ENDPOINT names the server.
"""

import os
import sys

import boto3


def main():
    _, bucket, prefix, folder = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT"], region_name=os.environ["AWS_REGION"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            path = os.path.join(folder, entry["Key"][len(prefix) :])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            client.download_file(bucket, entry["Key"], path)
            print(entry["Key"])


if __name__ == "__main__":
    main()
